//! A grammar of SELECTs over the clinic: every column in every place a column can stand.

use std::fmt::Write as _;

/// Text-like columns of the tables and views, with the alias their relation gets.
const TEXT: [&str; 6] = ["name", "email", "mobile", "id_number", "city", "notes"];

/// Forms an expression may take around a text, `_` standing for it.
const AROUND: [&str; 22] = [
    "_",
    "lower(_)",
    "upper(_)",
    "length(_)",
    "substr(_, 2, 9)",
    "left(_, 8)",
    "right(_, 7)",
    "reverse(_)",
    "_ || 'x'",
    "'x' || _",
    "coalesce(_, 'none')",
    "nullif(_, 'x')",
    "replace(_, '@', ' at ')",
    "md5(_)",
    "_::text",
    "CAST(_ AS varchar(40))",
    "CASE WHEN _ IS NULL THEN 'n' ELSE _ END",
    "split_part(_, '@', 1)",
    "_ = 'Lund'",
    "_ LIKE 'a%'",
    "ascii(_)",
    "ARRAY[_, 'b']",
];

/// Predicates, `_` standing for a text.
const FILTERS: [&str; 12] = [
    "_ IS NOT NULL",
    "_ LIKE '%e%'",
    "_ > 'm'",
    "_ IN ('Lund', 'ada.qvorlund@example.com')",
    "length(_) > 8",
    "_ <> ''",
    "_ BETWEEN 'a' AND 'p'",
    "_ ~ '^[a-z]'",
    "NOT (_ = 'x')",
    "substr(_, 5, 1) > 'k'",
    "_ IS DISTINCT FROM '王'",
    "true",
];

/// Relations that have the columns of [`TEXT`] under an alias.
const SOURCES: [&str; 6] = [
    "patients AS t",
    "(SELECT * FROM patients) AS t",
    "(SELECT p.* FROM patients AS p WHERE p.id < 7) AS t",
    "patients AS t JOIN visits AS v ON v.patient_id = t.id",
    "patients AS t LEFT JOIN staff AS s ON s.name = t.name",
    "LATERAL (SELECT * FROM patients AS q) AS t",
];

/// SplitMix64.
pub(crate) struct Generator(u64);

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }

    /// True half of the time.
    pub(crate) fn flip(&mut self) -> bool {
        self.below(2) == 0
    }

    fn pick(&mut self, list: &[&'static str]) -> &'static str {
        list.get(self.below(list.len())).unwrap()
    }

    fn column(&mut self) -> String {
        format!("t.{}", self.pick(&TEXT))
    }

    fn around(&mut self, forms: &[&'static str]) -> String {
        let column = self.column();
        self.pick(forms)
            .replace('_', "\u{1}")
            .replace('\u{1}', &column)
    }

    /// One SELECT.
    pub(crate) fn statement(&mut self) -> String {
        match self.below(8) {
            0 => self.grouped(),
            1 => self.set_operation(),
            2 => self.with(),
            3 => self.nested(),
            4 => self.windowed(),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> String {
        let mut list = format!("{} AS a", self.around(&AROUND));
        for alias in ["b", "c"] {
            if self.flip() {
                write!(list, ", {} AS {alias}", self.around(&AROUND)).unwrap();
            }
        }
        let (source, filter) = (self.pick(&SOURCES), self.around(&FILTERS));
        let distinct = if self.below(5) == 0 { "DISTINCT " } else { "" };
        format!("SELECT {distinct}{list} FROM {source} WHERE {filter}")
    }

    fn grouped(&mut self) -> String {
        let (key, other) = (self.around(&AROUND), self.column());
        let aggregate = self.pick(&[
            "count(*)",
            "count(_)",
            "count(DISTINCT _)",
            "min(_)",
            "max(_)",
        ]);
        let (aggregate, filter) = (aggregate.replace('_', &other), self.around(&FILTERS));
        format!("SELECT {key} AS k, {aggregate} FROM patients AS t WHERE {filter} GROUP BY {key}")
    }

    fn set_operation(&mut self) -> String {
        let (one, two) = (self.column(), self.column());
        let operation = self.pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT"]);
        format!(
            "SELECT {one}::text FROM patients AS t {operation} SELECT {two}::text FROM patients AS t WHERE {}",
            self.around(&FILTERS)
        )
    }

    fn with(&mut self) -> String {
        let (inner, filter) = (self.around(&AROUND), self.around(&FILTERS));
        format!(
            "WITH w AS (SELECT t.id, {inner} AS x FROM patients AS t WHERE {filter}) SELECT w.x, w.id FROM w"
        )
    }

    fn nested(&mut self) -> String {
        let (column, filter) = (self.column(), self.around(&FILTERS));
        let inner = format!("SELECT max({column}) FROM patients AS t WHERE {filter}");
        match self.below(3) {
            0 => format!("SELECT s.id, ({inner}) AS m FROM staff AS s"),
            1 => format!(
                "SELECT s.name FROM staff AS s WHERE EXISTS (SELECT 1 FROM patients AS t WHERE {filter})"
            ),
            _ => format!(
                "SELECT t.id FROM patients AS t WHERE {column} IN (SELECT c.email FROM patient_contacts AS c)"
            ),
        }
    }

    fn windowed(&mut self) -> String {
        let (column, key) = (self.column(), self.around(&AROUND));
        format!(
            "SELECT t.id, max({column}) OVER (PARTITION BY t.city) AS m, {key} AS k FROM patients AS t"
        )
    }
}
