//! Both doors, against a throwaway PostgreSQL, libpq's psql, and peers that cheat.

#[cfg(test)]
mod doors {
    mod certificates;
    mod client;
    mod cluster;
    mod messages;
    mod middle;
    mod pgwire;
    mod upstream;
}
