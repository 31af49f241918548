//! Which functions of a database may leave something behind in the session that calls them: read from
//! their sources, for transaction pooling.
//!
//! Words decide, not a parser: a body that mentions what could change a session, runs a text it makes
//! up, or calls a function that does, is suspect; so is whatever is written in a language whose source
//! says nothing. Extensions' C functions are not, but for those `pooling::residue` names.

use std::sync::Arc;

use crate::pooling::Routines;
use crate::upstream::{ConnectError, UpstreamConnection};

/// What was read last, and of which state of `pg_proc` and its users.
#[derive(Default)]
pub(super) struct Known {
    state: Option<Vec<u8>>,
    routines: Arc<Routines>,
}

/// Changes whenever a function, or who calls it unasked, may have changed.
const STATE: &str = "SELECT pg_catalog.concat( \
    (SELECT concat(count(*), '/', sum(hashtext(concat(oid, ':', xmin)))) FROM pg_catalog.pg_proc \
     WHERE oid >= 16384), ' ', \
    (SELECT concat(count(*), '/', sum(hashtext(concat(classid, ':', objid, ':', refobjid)))) \
     FROM pg_catalog.pg_depend WHERE refclassid = 'pg_catalog.pg_proc'::regclass), ' ', \
    (SELECT concat(count(*), '/', sum(hashtext(concat(oid, ':', xmin)))) FROM ( \
        SELECT oid, xmin FROM pg_catalog.pg_rewrite WHERE oid >= 16384 \
        UNION ALL SELECT oid, xmin FROM pg_catalog.pg_attrdef \
        UNION ALL SELECT oid, xmin FROM pg_catalog.pg_policy \
        UNION ALL SELECT oid, xmin FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL) AS stored))";

/// Rows of (name, is it called unasked); `{server}` are names of the server's own functions, as an array
/// constant. A source is read with its comments and without them: each may hide words from the other.
const SUSPECT: &str = r"WITH RECURSIVE own AS MATERIALIZED (
    SELECT p.oid, p.proname::text AS name, l.lanname,
        lower(concat(p.prosrc, ' ', pg_catalog.regexp_replace(p.prosrc, '--[^\n]*|/[*].*?[*]/', ' ', 'g'), ' ',
            pg_catalog.pg_get_function_sqlbody(p.oid))) AS source,
        EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
            AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid) AS extension
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.oid >= 16384
), suspect(oid, name) AS (
    SELECT oid, name FROM own WHERE CASE
        WHEN lanname IN ('sql', 'plpgsql', 'internal') THEN source ~ (
            'set_config|advisory_(un)?lock|try_advisory|\mlisten\M|\mtemp\M|\mtemporary\M|pg_temp'
            || '|\mprepare\M|\mhold\M|\mexecute\M|\mload\M|\mdiscard\M|\mdeallocate\M|dblink|set_limit'
            || '|\mpg_settings\M|_to_xml|\mts_stat\M|\mts_rewrite\M|replication_|backup_st'
            || '|(^|;|>>|\mbegin|\mthen|\melse|\mloop)\s*(re)?set\s+(?!local\M)')
        WHEN lanname = 'c' THEN NOT extension
        ELSE true END
    UNION
    SELECT o.oid, o.name FROM suspect s JOIN own o ON strpos(o.source, lower(s.name)) > 0
        OR EXISTS (SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = o.oid
            AND d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = s.oid)
)
SELECT name, bool_or(EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = suspect.oid
    AND d.classid <> 'pg_catalog.pg_proc'::regclass))::text
FROM suspect GROUP BY name
UNION ALL
SELECT p.proname::text, 'true' FROM pg_catalog.pg_proc p
WHERE p.oid < 16384 AND p.proname = ANY ({server}) AND EXISTS (SELECT FROM (
    SELECT ev_action::text FROM pg_catalog.pg_rewrite WHERE oid >= 16384
    UNION ALL SELECT adbin::text FROM pg_catalog.pg_attrdef
    UNION ALL SELECT conbin::text FROM pg_catalog.pg_constraint
    UNION ALL SELECT concat(polqual, polwithcheck) FROM pg_catalog.pg_policy
    UNION ALL SELECT tgqual::text FROM pg_catalog.pg_trigger
) AS stored(tree) WHERE tree ~ concat(':(op)?funcid ', p.oid, '\M'))";

impl Known {
    /// What there is now. What cannot be read makes every statement suspect.
    pub(super) async fn read(&mut self, connection: &mut UpstreamConnection) -> Arc<Routines> {
        match self.look(connection).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "functions not read: pooled sessions keep their connections");
                self.state = None;
                self.routines = Arc::new(Routines::new([], true));
            }
        }
        Arc::clone(&self.routines)
    }

    async fn look(&mut self, connection: &mut UpstreamConnection) -> Result<(), ConnectError> {
        let rows = connection.simple_query_text(STATE).await?;
        let state = rows.into_iter().flatten().next().flatten();
        if state.is_some() && state == self.state {
            return Ok(());
        }
        let server = Routines::of_the_server().collect::<Vec<_>>().join(",");
        let suspect = SUSPECT.replace("{server}", &format!("'{{{server}}}'"));
        let rows = connection.simple_query_text(&suspect).await?;
        let mut names = Vec::with_capacity(rows.len());
        let mut unasked = Vec::new();
        for row in rows {
            let [name, implicit] =
                <[_; 2]>::try_from(row).map_err(|_| ConnectError::Protocol("unexpected rows"))?;
            let name = String::from_utf8(name.unwrap_or_default())
                .map_err(|_| ConnectError::Protocol("a name is not UTF-8"))?;
            if implicit.as_deref() == Some(b"true") {
                unasked.push(name.clone());
            }
            names.push(name);
        }
        if !unasked.is_empty() {
            tracing::warn!(
                functions = unasked.join(", "),
                "called by triggers, defaults, views or the like, and may leave session state: \
                 pooled sessions keep their connections"
            );
        }
        self.routines = Arc::new(Routines::new(names, !unasked.is_empty()));
        self.state = state;
        Ok(())
    }
}
