//! Statements by chance over the clinic and the ward: valid for PostgreSQL almost always, with
//! aliases that repeat, so that scopes hide one another.
//!
//! Deliberately absent: columns denied to `support`, answers that depend on row order, and functions
//! whose answer changes.

/// What an expression is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Date,
    Number,
    Bool,
}
use Kind::{Bool, Date, Int, Number, Text};

const KINDS: [Kind; 4] = [Int, Text, Date, Number];

/// Tables, and their columns up to the first one that is denied.
const TABLES: &[(&str, &[(&str, Kind)])] = &[
    (
        "patients",
        &[
            ("id", Int),
            ("name", Text),
            ("email", Text),
            ("mobile", Text),
            ("id_number", Text),
            ("born", Date),
            ("weight", Number),
            ("city", Text),
            ("notes", Text),
        ],
    ),
    (
        "staff",
        &[
            ("id", Int),
            ("name", Text),
            ("email", Text),
            ("salary", Int),
        ],
    ),
    (
        "visits",
        &[
            ("id", Int),
            ("patient_id", Int),
            ("doctor_id", Int),
            ("seen_on", Date),
            ("diagnosis", Text),
            ("fee", Number),
        ],
    ),
    (
        "tickets",
        &[
            ("id", Int),
            ("patient_id", Int),
            ("contact", Text),
            ("reference", Text),
            ("body", Text),
            ("city", Text),
        ],
    ),
    (
        "people",
        &[
            ("id", Int),
            ("given", Text),
            ("family", Text),
            ("whole", Text),
            ("initials", Text),
        ],
    ),
    ("logins", &[("at", Date), ("email", Text), ("ok", Bool)]),
    (
        "archive.patients",
        &[("id", Int), ("email", Text), ("closed", Date)],
    ),
    ("accounts", &[("number", Text), ("holder", Text)]),
    (
        "patient_contacts",
        &[
            ("id", Int),
            ("name", Text),
            ("email", Text),
            ("mobile", Text),
            ("city", Text),
        ],
    ),
    (
        "contacts_in_lund",
        &[("pid", Int), ("who", Text), ("mail", Text)],
    ),
    ("mail_domains", &[("id", Int), ("domain", Text)]),
    ("shared_emails", &[("email", Text)]),
    ("email", &[("id", Int), ("patients", Int)]),
];

const ALIASES: &[&str] = &["a", "b", "t", "p", "patients", "email", "\"t~1\""];

/// A FROM item as the query above sees it.
#[derive(Clone)]
struct Item {
    alias: String,
    columns: Vec<(String, Kind)>,
}

/// A source of statements.
pub(crate) struct Generator {
    state: u64,
    depth: u32,
    names: u32,
    ctes: Vec<Item>,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        let state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        Self {
            state,
            depth: 0,
            names: 0,
            ctes: Vec::new(),
        }
    }

    /// A whole statement.
    pub(crate) fn statement(&mut self) -> String {
        (self.depth, self.names) = (0, 0);
        self.ctes.clear();
        let width = 1 + self.below(4);
        let kinds: Vec<Kind> = (0..width).map(|_| self.kind()).collect();
        self.query(&kinds, &[])
    }

    fn below(&mut self, n: usize) -> usize {
        // xorshift64*
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn kind(&mut self) -> Kind {
        KINDS[self.below(KINDS.len())]
    }

    fn pick<'t, T>(&mut self, list: &'t [T]) -> &'t T {
        &list[self.below(list.len())]
    }

    /// A query whose columns are of these kinds.
    fn query(&mut self, kinds: &[Kind], outer: &[Item]) -> String {
        self.depth += 1;
        let known = self.ctes.len();
        let mut sql = String::new();
        if self.depth < 3 && self.chance(20) {
            sql.push_str(&self.with(outer));
        }
        sql.push_str(&self.select(kinds, outer));
        if self.depth < 3 && self.chance(15) {
            let op = *self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
            let other = self.select(kinds, outer);
            sql = format!("{sql} {op} {other}");
            if self.chance(50) {
                sql = format!("{sql} ORDER BY {}", 1 + self.below(kinds.len()));
            }
        }
        self.ctes.truncate(known);
        self.depth -= 1;
        sql
    }

    fn with(&mut self, outer: &[Item]) -> String {
        let kinds: Vec<Kind> = (0..=self.below(3)).map(|_| self.kind()).collect();
        self.names += 1;
        let name = if self.chance(30) {
            "patients".to_owned()
        } else {
            format!("c{}", self.names)
        };
        let body = self.query(&kinds, outer);
        let columns: Vec<(String, Kind)> = (1..)
            .zip(&kinds)
            .map(|(n, k)| (format!("k{n}"), *k))
            .collect();
        let list: Vec<&str> = columns.iter().map(|(n, _)| n.as_str()).collect();
        let how = *self.pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
        let sql = format!("WITH {name} ({}) AS {how}({body}) ", list.join(", "));
        self.ctes.push(Item {
            alias: name,
            columns,
        });
        sql
    }

    fn select(&mut self, kinds: &[Kind], outer: &[Item]) -> String {
        let (from, items) = self.from(outer);
        let mut scope = items;
        for o in outer {
            if scope.iter().all(|i| i.alias != o.alias) {
                scope.push(o.clone());
            }
        }
        let filter = if self.chance(60) {
            format!(" WHERE {}", self.condition(&scope))
        } else {
            String::new()
        };
        if self.chance(25) {
            return self.grouped(kinds, &from, &filter, &scope);
        }
        let mut list = Vec::new();
        for k in kinds {
            let e = if self.chance(15) && *k == Int {
                let order = self.column(&scope, Text).unwrap_or_else(|| "1".to_owned());
                format!("rank() OVER (PARTITION BY 1 ORDER BY {order})::int")
            } else {
                self.expr(&scope, *k)
            };
            list.push(self.named(e));
        }
        let distinct = if self.chance(15) { "DISTINCT " } else { "" };
        format!("SELECT {distinct}{} FROM {from}{filter}", list.join(", "))
    }

    fn named(&mut self, e: String) -> String {
        if self.chance(60) {
            return e;
        }
        let name = *self.pick(&["x", "email", "city", "id", "\"Name\""]);
        format!("{e} AS {name}")
    }

    fn grouped(&mut self, kinds: &[Kind], from: &str, filter: &str, scope: &[Item]) -> String {
        let mut list = Vec::new();
        let mut keys = Vec::new();
        for (n, k) in (1..).zip(kinds) {
            if self.chance(50) {
                let e = self.expr(scope, *k);
                keys.push(if self.chance(50) {
                    n.to_string()
                } else {
                    e.clone()
                });
                // An integer alone would be a column's number.
                if *k == Int {
                    keys.pop();
                    keys.push(n.to_string());
                }
                list.push(e);
            } else {
                let inner = self.expr(scope, *k);
                list.push(match k {
                    Int => format!("count(DISTINCT {inner})::int"),
                    Number => format!("max({inner}) FILTER (WHERE {})", self.condition(scope)),
                    _ => format!("min({inner})"),
                });
            }
        }
        let group = if keys.is_empty() {
            String::new()
        } else {
            format!(" GROUP BY {}", keys.join(", "))
        };
        let having = if self.chance(20) {
            " HAVING count(*) > 0"
        } else {
            ""
        };
        format!(
            "SELECT {} FROM {from}{filter}{group}{having}",
            list.join(", ")
        )
    }

    fn from(&mut self, outer: &[Item]) -> (String, Vec<Item>) {
        let (mut sql, first) = self.item(outer, &[]);
        let mut items = vec![first];
        for _ in 0..self.below(if self.depth > 2 { 1 } else { 3 }) {
            let lateral = self.chance(20);
            let seen: Vec<Item> = if lateral { items.clone() } else { Vec::new() };
            let (more, item) = self.item(outer, &seen);
            if items.iter().any(|i| i.alias == item.alias) {
                continue;
            }
            let shared = ["id", "email", "city"].into_iter().find(|name| {
                let has = |i: &Item| i.columns.iter().filter(|(c, _)| c == name).count();
                has(&item) == 1 && items.iter().map(has).sum::<usize>() == 1
            });
            let kind = *self.pick(&["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]);
            // A row of the left side may be missing where LATERAL looks.
            let kind = if more.starts_with("LATERAL") {
                "LEFT JOIN"
            } else {
                kind
            };
            sql = match shared {
                Some(name) if self.chance(60) => format!("{sql} {kind} {more} USING ({name})"),
                _ => {
                    let (l, r) = (items.clone(), vec![item.clone()]);
                    let k = self.kind();
                    match (self.column(&l, k), self.column(&r, k)) {
                        (Some(l), Some(r)) => format!("{sql} {kind} {more} ON {l} = {r}"),
                        _ => format!("{sql} CROSS JOIN {more}"),
                    }
                }
            };
            items.push(item);
        }
        (sql, items)
    }

    fn item(&mut self, outer: &[Item], left: &[Item]) -> (String, Item) {
        let alias = (*self.pick(ALIASES)).to_owned();
        if self.depth < 3 && self.chance(25) {
            let kinds: Vec<Kind> = (0..=self.below(3)).map(|_| self.kind()).collect();
            let columns: Vec<(String, Kind)> = (1..)
                .zip(&kinds)
                .map(|(n, k)| (format!("d{n}"), *k))
                .collect();
            let list: Vec<&str> = columns.iter().map(|(n, _)| n.as_str()).collect();
            let mut around: Vec<Item> = left.to_vec();
            around.extend(
                outer
                    .iter()
                    .filter(|o| left.iter().all(|l| l.alias != o.alias))
                    .cloned(),
            );
            let body = self.query(&kinds, &around);
            let lateral = if left.is_empty() { "" } else { "LATERAL " };
            let sql = format!("{lateral}({body}) AS {alias} ({})", list.join(", "));
            return (sql, Item { alias, columns });
        }
        if !self.ctes.is_empty() && self.chance(50) {
            let ctes = self.ctes.clone();
            let cte = self.pick(&ctes).clone();
            let sql = format!("{} AS {alias}", cte.alias);
            return (sql, Item { alias, ..cte });
        }
        let (table, columns) = *self.pick(TABLES);
        // A CTE of that name would be meant instead.
        let schema = if table.contains('.') { "" } else { "public." };
        let mut columns: Vec<(String, Kind)> =
            columns.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect();
        let mut renamed = String::new();
        if self.chance(20) {
            columns[0].0 = "city".to_owned();
            columns.retain({
                let mut first = true;
                move |(n, _)| n != "city" || std::mem::take(&mut first)
            });
            "(city)".clone_into(&mut renamed);
        }
        (
            format!("{schema}{table} AS {alias} {renamed}"),
            Item { alias, columns },
        )
    }

    /// A column of that kind, qualified or, where nothing else has its name, bare.
    fn column(&mut self, scope: &[Item], kind: Kind) -> Option<String> {
        let all: Vec<(&Item, &String)> = scope
            .iter()
            .flat_map(|i| {
                i.columns
                    .iter()
                    .filter(|(_, k)| *k == kind)
                    .map(move |(n, _)| (i, n))
            })
            .collect();
        if all.is_empty() {
            return None;
        }
        let (item, name) = *self.pick(&all);
        Some(match self.below(10) {
            0 => format!("({}).{name}", item.alias),
            _ => format!("{}.{name}", item.alias),
        })
    }

    fn expr(&mut self, scope: &[Item], kind: Kind) -> String {
        if self.chance(65)
            && let Some(column) = self.column(scope, kind)
        {
            return column;
        }
        if self.depth < 3 && self.chance(15) {
            self.depth += 1;
            let (from, items) = self.from(scope);
            let mut inner = items;
            for o in scope {
                if inner.iter().all(|i| i.alias != o.alias) {
                    inner.push(o.clone());
                }
            }
            let e = self.expr(&inner, kind);
            let filter = self.condition(&inner);
            self.depth -= 1;
            let best = if kind == Bool { "bool_and" } else { "max" };
            return format!("(SELECT {best}({e}) FROM {from} WHERE {filter})");
        }
        match kind {
            Int => match self.below(4) {
                0 => self.below(9).to_string(),
                1 => format!("length({})", self.expr(scope, Text)),
                2 => format!("({} + 1)", self.leaf(scope, Int)),
                _ => format!("extract(year FROM {})::int", self.leaf(scope, Date)),
            },
            Text => match self.below(6) {
                0 => "'a*'::text".to_owned(),
                1 => format!("upper({})", self.leaf(scope, Text)),
                2 => format!("({} || {})", self.leaf(scope, Text), self.leaf(scope, Text)),
                3 => format!("left({}, 2)", self.leaf(scope, Text)),
                4 => format!(
                    "coalesce({}, {}::text)",
                    self.leaf(scope, Text),
                    self.leaf(scope, Text)
                ),
                _ => format!(
                    "CASE WHEN {} THEN {}::text ELSE 'none' END",
                    self.condition(scope),
                    self.leaf(scope, Text)
                ),
            },
            Date => match self.below(2) {
                0 => "date '1980-01-01'".to_owned(),
                _ => format!("({} + 1)", self.leaf(scope, Date)),
            },
            Number => match self.below(2) {
                0 => "2.5".to_owned(),
                _ => format!("({} * 2)", self.leaf(scope, Number)),
            },
            Bool => self.condition(scope),
        }
    }

    fn leaf(&mut self, scope: &[Item], kind: Kind) -> String {
        self.column(scope, kind).unwrap_or_else(|| {
            match kind {
                Int => "3",
                Text => "'q'::text",
                Date => "date '1999-09-09'",
                Number => "1.5",
                Bool => "true",
            }
            .to_owned()
        })
    }

    fn condition(&mut self, scope: &[Item]) -> String {
        let kind = self.kind();
        let (l, r) = (self.leaf(scope, kind), self.leaf(scope, kind));
        if self.depth < 3 && self.chance(15) {
            let body = self.query(&[kind], scope);
            let not = if self.chance(30) { "NOT " } else { "" };
            return match self.below(3) {
                0 => format!("{not}EXISTS ({body})"),
                1 => format!("{l} {not}IN ({body})"),
                _ => format!("{l} > ALL ({body})"),
            };
        }
        match self.below(9) {
            0 => format!("{l} IS NULL"),
            1 => format!("{l} IS NOT NULL"),
            2 => format!("{l} = {r}"),
            3 => format!("{l} < {r}"),
            4 => format!("{l} IS DISTINCT FROM {r}"),
            5 => format!("{l} BETWEEN {r} AND {}", self.leaf(scope, kind)),
            6 => format!("({l} = {r} OR NOT ({}))", self.leaf_condition(scope)),
            7 => format!("({}) AND {l} <> {r}", self.leaf_condition(scope)),
            _ => format!("{} LIKE '%a%'", self.leaf(scope, Text)),
        }
    }

    fn leaf_condition(&mut self, scope: &[Item]) -> String {
        let kind = self.kind();
        let (l, r) = (self.leaf(scope, kind), self.leaf(scope, kind));
        format!("{l} >= {r}")
    }
}
