//! Names of relations and types, without the schema that a search path finds them in.
//!
//! No mask: upstream the path is not the client's, so that PostgreSQL writes schemas which the client's
//! own path would have left out.

/// The schemas of a path that may be left out.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BareNames(Vec<BareSchema>);

#[derive(Clone, PartialEq, Eq)]
struct BareSchema {
    /// Its name and a dot, without quotes and with.
    prefixes: [String; 2],
    /// Names in it that mean something else by the path, without quotes and with.
    hidden: Vec<[String; 2]>,
}

impl BareNames {
    /// Adds a schema: its name, without quotes and with, and the names in it that are not found in it.
    pub fn add(&mut self, schema: [&str; 2], hidden: Vec<[String; 2]>) {
        self.0.push(BareSchema {
            prefixes: schema.map(|form| format!("{form}.")),
            hidden,
        });
    }

    /// None may be left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name without its schema, if the path finds it so. Of the two forms of a name PostgreSQL
    /// writes one, and the other is none that it would write.
    pub fn strip<'v>(&self, name: &'v [u8]) -> &'v [u8] {
        for schema in &self.0 {
            let forms = schema.prefixes.iter();
            let Some(rest) = forms
                .into_iter()
                .find_map(|p| name.strip_prefix(p.as_bytes()))
            else {
                continue;
            };
            let is = |hidden: &String| {
                let after = rest.strip_prefix(hidden.as_bytes());
                after.is_some_and(|after| matches!(after.first(), None | Some(b'[')))
            };
            let hidden = schema.hidden.iter().flatten().any(is);
            return if hidden { name } else { rest };
        }
        name
    }

    /// The same as a regular expression of what is left out. `escaped` makes one of a text.
    pub fn pattern(&self, escaped: impl Fn(&str) -> String) -> String {
        let either = |forms: &[String; 2]| {
            let [bare, quoted] = forms;
            format!("(?:{}|{})", escaped(bare), escaped(quoted))
        };
        let schemas = self.0.iter().map(|schema| {
            let hidden: Vec<String> = schema.hidden.iter().map(either).collect();
            let prefix = either(&schema.prefixes);
            match hidden.as_slice() {
                [] => prefix,
                _ => format!(r"{prefix}(?!(?:{})(?:[\[(]|$))", hidden.join("|")),
            }
        });
        let schemas: Vec<String> = schemas.collect();
        format!("^(?:{})", schemas.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::BareNames;

    fn forms(name: &str) -> [String; 2] {
        [name.to_owned(), format!("\"{name}\"")]
    }

    #[test]
    fn a_schema_of_the_path_is_left_out_where_it_is_found_without() {
        let mut names = BareNames::default();
        names.add(["app", "\"app\""], Vec::new());
        names.add(["Other", "\"Other\""], vec![forms("visits"), forms("a.b")]);
        for (shown, bare) in [
            ("app.people", "people"),
            ("app.\"People\"", "\"People\""),
            ("app.mood[]", "mood[]"),
            ("apple.people", "apple.people"),
            ("\"app.people\"", "\"app.people\""),
            ("\"Other\".beds", "beds"),
            ("\"Other\".visits", "\"Other\".visits"),
            ("\"Other\".visits[]", "\"Other\".visits[]"),
            ("\"Other\".visits_of", "visits_of"),
            ("\"Other\".\"a.b\"", "\"Other\".\"a.b\""),
            ("integer", "integer"),
            ("-", "-"),
        ] {
            assert_eq!(names.strip(shown.as_bytes()), bare.as_bytes(), "{shown}");
        }
    }
}
