//! Utility statements.

use super::*;
use Statement as S;
use pgveil::sql::tree::DropKind;

#[test]
fn utility_statements_print() {
    let mut s = Session::new("utility");
    let mode = [
        TransactionMode::Isolation(IsolationLevel::RepeatableRead),
        TransactionMode::ReadOnly,
        TransactionMode::Deferrable(false),
    ];
    let plain_select = || {
        Box::new(plain(
            vec![column("p", "id")],
            vec![from(relation("t", "p", 0))],
        ))
    };
    let set = |name: &str, values: &[&str], local| S::Set {
        local,
        name: name.into(),
        values: values.iter().map(|v| (*v).into()).collect(),
    };
    let fetch = |amount, is_move| S::Fetch {
        is_move,
        amount,
        cursor: id("Cur"),
    };
    let savepoint = || id("sp \"1");
    let temp = CreateTable {
        name: name(&["Tmp"]),
        temporary: true,
        if_not_exists: true,
        columns: vec![
            TempColumn {
                name: id("a"),
                ty: Some(ty("int4", &[], 0)),
                serial: None,
                identity: None,
                collation: None,
                copied: None,
                not_null: true,
                primary_key: true,
                unique: false,
                default: Some(binary(number("1"), "+", number("1"))),
            },
            TempColumn {
                name: id("b"),
                ty: Some(ty("varchar", &[3], 0)),
                serial: None,
                identity: None,
                collation: None,
                copied: None,
                not_null: false,
                primary_key: false,
                unique: true,
                default: None,
            },
        ],
        likes: Vec::new(),
        keys: vec![TempKey {
            name: Some(id("Both")),
            primary: false,
            columns: vec![id("a"), id("b")],
        }],
        checks: vec![(None, binary(number("1"), "<", number("2")))],
        on_commit: Some("preserve rows".into()),
        query: None,
    };
    let temp_as = CreateTable {
        name: name(&["pg_temp", "As"]),
        columns: vec![TempColumn {
            name: id("renamed"),
            ty: None,
            serial: None,
            identity: None,
            collation: None,
            copied: None,
            not_null: false,
            primary_key: false,
            unique: false,
            default: None,
        }],
        keys: Vec::new(),
        checks: Vec::new(),
        on_commit: None,
        query: Some((Box::new(one()), true)),
        ..temp.clone()
    };
    let mut into = select(vec![number("1")], Vec::new());
    into.into = Some((name(&["Into"]), true));
    let explain = |options: &[(&str, &str)]| S::Explain {
        options: options
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect(),
        statement: Box::new(statement(one())),
    };
    let steps: Vec<(S, usize)> = vec![
        (set("timezone", &["Europe/Paris"], false), 0),
        (set("datestyle", &["ISO", "DMY"], false), 0),
        (set("pgveil.search_path", &["it's \\"], false), 0),
        (S::Show("timezone".into()), 1),
        (set("timezone", &[], false), 0),
        (S::Reset("datestyle".into()), 0),
        (
            S::SetTransaction {
                session: true,
                modes: mode.to_vec(),
            },
            0,
        ),
        (S::Transaction(Transaction::Begin(Vec::new())), 0),
        (
            S::SetTransaction {
                session: false,
                modes: vec![TransactionMode::ReadWrite],
            },
            0,
        ),
        (
            S::SetConstraints {
                names: Vec::new(),
                deferred: true,
            },
            0,
        ),
        (set("statement_timeout", &["30s"], true), 0),
        (S::Transaction(Transaction::Savepoint(savepoint())), 0),
        (S::Transaction(Transaction::RollbackTo(savepoint())), 0),
        (S::Transaction(Transaction::Release(savepoint())), 0),
        (
            S::Declare {
                name: id("Cur"),
                binary: false,
                scroll: Some(true),
                insensitive: Some(true),
                hold: true,
                query: plain_select(),
            },
            0,
        ),
        (fetch(FetchAmount::Forward(Some(2)), false), 2),
        (fetch(FetchAmount::Relative(-1), false), 1),
        (fetch(FetchAmount::Absolute(-1), false), 1),
        (fetch(FetchAmount::Backward(None), false), 2),
        (fetch(FetchAmount::Forward(None), true), 0),
        (S::Close(Some(id("Cur"))), 0),
        (
            S::Declare {
                name: id("Bin"),
                binary: true,
                scroll: Some(false),
                insensitive: Some(false),
                hold: false,
                query: plain_select(),
            },
            0,
        ),
        (S::Close(None), 0),
        (S::Transaction(Transaction::Commit(true)), 0),
        (S::Transaction(Transaction::Rollback(true)), 0),
        (S::Transaction(Transaction::Commit(false)), 0),
        (S::Transaction(Transaction::Begin(mode.to_vec())), 0),
        (S::Transaction(Transaction::Start(mode.to_vec())), 0),
        (S::Transaction(Transaction::Rollback(false)), 0),
        (S::Reset("all".into()), 0),
        (
            S::Prepare {
                name: id("P 1"),
                types: vec![ty("int4", &[], 0)],
                statement: Box::new(statement(plain(vec![Expr::Param(1)], Vec::new()))),
            },
            0,
        ),
        (
            S::Execute {
                name: id("P 1"),
                args: vec![number("3")],
            },
            1,
        ),
        (S::Deallocate(Some(id("P 1"))), 0),
        (S::Deallocate(None), 0),
        (S::CreateTable(Box::new(temp)), 0),
        (S::CreateTable(Box::new(temp_as)), 0),
        (statement(query(body(into))), 0),
        (
            S::DropTable {
                kind: DropKind::Table,
                if_exists: true,
                names: vec![name(&["pg_temp", "Tmp"]), name(&["pg_temp", "none"])],
                cascade: true,
            },
            0,
        ),
        (explain(&[]), 1),
        (
            explain(&[("analyze", ""), ("timing", "off"), ("format", "json")]),
            1,
        ),
        (S::Listen(id("Chan")), 0),
        (S::Notify(id("Chan"), Some("it's".into())), 0),
        (S::Notify(id("Chan"), None), 0),
        (S::Unlisten(Some(id("Chan"))), 0),
        (S::Unlisten(None), 0),
        (S::Discard("plans".into()), 0),
        (S::Discard("temp".into()), 0),
        (S::Discard("all".into()), 0),
        (S::Empty, 0),
    ];
    for (step, rows) in steps {
        let sql = print(&step, &Rewrite::default()).unwrap();
        assert_eq!(s.run(sql.as_str()).len(), rows, "{}", sql.as_str());
    }
    assert!(s.print(&S::Show("all".into())).len() > 200);
}
