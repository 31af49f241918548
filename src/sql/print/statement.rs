//! Statements, the utility ones in full. Names of settings are quoted, their values are strings.

use super::{Printed, Printer, unresolved};
use crate::ident::Ident;
use crate::sql::tree::{
    CreateTable, Expr, FetchAmount, IsolationLevel, Query, Statement, Transaction, TransactionMode,
    TypeName,
};

impl Printer<'_> {
    /// Any statement.
    pub(super) fn statement(&mut self, statement: &Statement) -> Printed {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            Statement::Copy(copy) => self.copy(copy),
            Statement::Explain { options, statement } => self.explain(options, statement),
            Statement::Transaction(transaction) => self.transaction(transaction),
            Statement::Set {
                local,
                name,
                values,
            } => self.set(*local, name, values),
            Statement::SetTransaction { session, modes } => {
                self.push(if *session {
                    "SET SESSION CHARACTERISTICS AS TRANSACTION"
                } else {
                    "SET TRANSACTION"
                });
                self.resolved(!modes.is_empty(), "SET TRANSACTION without modes")?;
                self.modes(modes);
                Ok(())
            }
            Statement::SetConstraints { names, deferred } => {
                self.push("SET CONSTRAINTS ");
                if names.is_empty() {
                    self.push("ALL");
                } else {
                    self.separated(names, ", ", |p, name| p.qualified(name, "a constraint"))?;
                }
                self.push(if *deferred { " DEFERRED" } else { " IMMEDIATE" });
                Ok(())
            }
            Statement::Show(name) => self.setting("SHOW ", name),
            Statement::Reset(name) => self.setting("RESET ", name),
            Statement::Prepare {
                name,
                types,
                statement,
            } => self.prepare(name, types, statement),
            Statement::Execute { name, args } => self.execute(name, args),
            Statement::Deallocate(name) => self.named("DEALLOCATE ", name.as_ref(), "ALL"),
            Statement::Declare {
                name,
                binary,
                scroll,
                insensitive,
                hold,
                query,
            } => {
                self.push("DECLARE ");
                self.ident(name)?;
                self.push(if *binary { " BINARY" } else { "" });
                self.push(match insensitive {
                    None => "",
                    Some(true) => " INSENSITIVE",
                    Some(false) => " ASENSITIVE",
                });
                self.declare(*scroll, *hold, query)
            }
            Statement::Fetch {
                is_move,
                amount,
                cursor,
            } => {
                self.fetch(*is_move, *amount);
                self.ident(cursor)
            }
            Statement::Close(name) => self.named("CLOSE ", name.as_ref(), "ALL"),
            Statement::CreateTable(create) => self.create_table(create),
            Statement::DropTable {
                kind,
                if_exists,
                names,
                cascade,
            } => self.drop(kind.word(), *if_exists, names, *cascade),
            Statement::DropIndex {
                if_exists,
                names,
                cascade,
            } => self.drop("INDEX", *if_exists, names, *cascade),
            Statement::CreateIndex(index) => self.create_index(index),
            Statement::Analyze(tables) => self.analyze(tables),
            Statement::Comment(_) => Err(unresolved("a comment")),
            Statement::Truncate {
                names,
                restart,
                cascade,
            } => {
                self.push("TRUNCATE TABLE ");
                self.separated(names, ", ", |p, n| p.qualified(n, "a table to truncate"))?;
                self.push(if *restart { " RESTART IDENTITY" } else { "" });
                self.push(if *cascade { " CASCADE" } else { "" });
                Ok(())
            }
            Statement::Discard(what) => self.discard(what),
            Statement::Listen(channel) => self.named("LISTEN ", Some(channel), ""),
            Statement::Unlisten(channel) => self.named("UNLISTEN ", channel.as_ref(), "*"),
            Statement::Notify(channel, payload) => {
                self.named("NOTIFY ", Some(channel), "")?;
                if let Some(payload) = payload {
                    self.push(", ");
                    self.string(payload)?;
                }
                Ok(())
            }
            Statement::Empty => Ok(()),
        }
    }

    /// `WORD "name"`, or the word for no name.
    fn named(&mut self, word: &str, name: Option<&Ident>, without: &str) -> Printed {
        self.push(word);
        if let Some(name) = name {
            return self.ident(name);
        }
        self.push(without);
        Ok(())
    }

    fn explain(&mut self, options: &[(Box<str>, Box<str>)], statement: &Statement) -> Printed {
        self.push("EXPLAIN ");
        if !options.is_empty() {
            self.push("(");
            self.separated(options, ", ", |p, (name, value)| {
                p.ident(&Ident::exact(name))?;
                if value.is_empty() {
                    return Ok(());
                }
                p.push(" ");
                p.string(value)
            })?;
            self.push(") ");
        }
        self.statement(statement)
    }

    fn transaction(&mut self, transaction: &Transaction) -> Printed {
        match transaction {
            Transaction::Begin(modes) => {
                self.push("BEGIN");
                self.modes(modes);
            }
            Transaction::Start(modes) => {
                self.push("START TRANSACTION");
                self.modes(modes);
            }
            Transaction::Commit(chain) => {
                self.push(if *chain { "COMMIT AND CHAIN" } else { "COMMIT" });
            }
            Transaction::Rollback(chain) => {
                self.push(if *chain {
                    "ROLLBACK AND CHAIN"
                } else {
                    "ROLLBACK"
                });
            }
            Transaction::Savepoint(name) => return self.named("SAVEPOINT ", Some(name), ""),
            Transaction::Release(name) => return self.named("RELEASE SAVEPOINT ", Some(name), ""),
            Transaction::RollbackTo(name) => {
                return self.named("ROLLBACK TO SAVEPOINT ", Some(name), "");
            }
        }
        Ok(())
    }

    fn modes(&mut self, modes: &[TransactionMode]) {
        for (i, mode) in modes.iter().enumerate() {
            self.push(if i > 0 { ", " } else { " " });
            self.push(match mode {
                TransactionMode::Isolation(IsolationLevel::ReadUncommitted) => {
                    "ISOLATION LEVEL READ UNCOMMITTED"
                }
                TransactionMode::Isolation(IsolationLevel::ReadCommitted) => {
                    "ISOLATION LEVEL READ COMMITTED"
                }
                TransactionMode::Isolation(IsolationLevel::RepeatableRead) => {
                    "ISOLATION LEVEL REPEATABLE READ"
                }
                TransactionMode::Isolation(IsolationLevel::Serializable) => {
                    "ISOLATION LEVEL SERIALIZABLE"
                }
                TransactionMode::ReadOnly => "READ ONLY",
                TransactionMode::ReadWrite => "READ WRITE",
                TransactionMode::Deferrable(true) => "DEFERRABLE",
                TransactionMode::Deferrable(false) => "NOT DEFERRABLE",
            });
        }
    }

    fn set(&mut self, local: bool, name: &str, values: &[Box<str>]) -> Printed {
        self.push(if local { "SET LOCAL " } else { "SET " });
        self.setting_name(name)?;
        self.push(" TO ");
        if values.is_empty() {
            self.push("DEFAULT");
            return Ok(());
        }
        self.separated(values, ", ", |p, value| p.string(value))
    }

    /// `WORD ALL`, or `WORD "name"`.
    fn setting(&mut self, word: &str, name: &str) -> Printed {
        self.push(word);
        if name == "all" {
            self.push("ALL");
            return Ok(());
        }
        self.setting_name(name)
    }

    /// A setting's name: `"timezone"`, `"pgveil"."search_path"`.
    fn setting_name(&mut self, name: &str) -> Printed {
        for (i, part) in name.split('.').enumerate() {
            if i > 0 {
                self.push(".");
            }
            self.ident(&Ident::exact(part))?;
        }
        Ok(())
    }

    fn prepare(&mut self, name: &Ident, types: &[TypeName], statement: &Statement) -> Printed {
        self.push("PREPARE ");
        self.ident(name)?;
        if !types.is_empty() {
            self.push(" (");
            self.separated(types, ", ", Self::type_name)?;
            self.push(")");
        }
        self.push(" AS ");
        self.statement(statement)
    }

    fn execute(&mut self, name: &Ident, args: &[Expr]) -> Printed {
        self.push("EXECUTE ");
        self.ident(name)?;
        if !args.is_empty() {
            self.push(" (");
            self.list(args)?;
            self.push(")");
        }
        Ok(())
    }

    fn declare(&mut self, scroll: Option<bool>, hold: bool, query: &Query) -> Printed {
        self.push(match scroll {
            None => " CURSOR",
            Some(true) => " SCROLL CURSOR",
            Some(false) => " NO SCROLL CURSOR",
        });
        self.push(if hold { " WITH HOLD FOR " } else { " FOR " });
        self.query(query)
    }

    fn fetch(&mut self, is_move: bool, amount: FetchAmount) {
        self.push(if is_move { "MOVE " } else { "FETCH " });
        let (word, count) = match amount {
            FetchAmount::Forward(count) => ("FORWARD ", count),
            FetchAmount::Backward(count) => ("BACKWARD ", count),
            FetchAmount::Absolute(count) => ("ABSOLUTE ", Some(count)),
            FetchAmount::Relative(count) => ("RELATIVE ", Some(count)),
        };
        self.push(word);
        match count {
            Some(count) => self.push(&count.to_string()),
            None => self.push("ALL"),
        }
        self.push(" FROM ");
    }

    fn create_table(&mut self, create: &CreateTable) -> Printed {
        self.resolved(create.temporary, "a table that is not temporary")?;
        self.push(if create.temporary {
            "CREATE TEMPORARY TABLE "
        } else {
            "CREATE TABLE "
        });
        self.push(if create.if_not_exists {
            "IF NOT EXISTS "
        } else {
            ""
        });
        self.name(&create.name)?;
        if !create.columns.is_empty() || create.query.is_none() {
            self.push(" (");
            self.temp_elements(create)?;
            self.push(")");
        }
        self.push(match create.on_commit.as_deref() {
            None => "",
            Some("preserve rows") => " ON COMMIT PRESERVE ROWS",
            Some("delete rows") => " ON COMMIT DELETE ROWS",
            Some("drop") => " ON COMMIT DROP",
            Some(_) => return Err(unresolved("an ON COMMIT action")),
        });
        if let Some((query, with_no_data)) = &create.query {
            self.push(" AS ");
            self.query(query)?;
            self.push(if *with_no_data { " WITH NO DATA" } else { "" });
        }
        Ok(())
    }

    fn discard(&mut self, what: &str) -> Printed {
        self.push(match what {
            "all" => "DISCARD ALL",
            "plans" => "DISCARD PLANS",
            "sequences" => "DISCARD SEQUENCES",
            "temp" | "temporary" => "DISCARD TEMP",
            _ => return Err(unresolved("a DISCARD target")),
        });
        Ok(())
    }
}
