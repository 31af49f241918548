-- Tables on which PostgreSQL computes, tests and orders otherwise than their definitions say at first sight:
-- partitions with something of their own, keys that are deferred, conditions stored rows have not met.
CREATE TABLE ledgers (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, n int, wage int);
CREATE INDEX ON ledgers (id, wage) INCLUDE (n);
INSERT INTO ledgers SELECT g, g, 30000 + g * 7919 % 10000 FROM generate_series(1, 200) g;

CREATE TABLE bonuses (id int PRIMARY KEY, n int, wage int);
INSERT INTO bonuses SELECT g, g, 30000 + g FROM generate_series(1, 9) g;
ALTER TABLE bonuses ADD CONSTRAINT wage_min CHECK (wage >= 30005) NOT VALID;

CREATE TABLE shifts (id int, n int, wage int) PARTITION BY LIST (n);
CREATE TABLE shifts_1 PARTITION OF shifts FOR VALUES IN (1);
CREATE TABLE shifts_2 PARTITION OF shifts FOR VALUES IN (2);
CREATE INDEX ON shifts_2 ((1000 / (wage - 30005)));
INSERT INTO shifts SELECT g, 1, 30000 + g FROM generate_series(1, 9) g;

CREATE TABLE tours (id int, n int, wage int) PARTITION BY LIST (n);
CREATE TABLE tours_1 PARTITION OF tours FOR VALUES IN (1);
CREATE TABLE tours_2 PARTITION OF tours (wage NOT NULL) FOR VALUES IN (2);
INSERT INTO tours SELECT g, 1, nullif(30000 + g, 30005) FROM generate_series(1, 9) g;

-- Every partition has its part of this index.
CREATE TABLE calls (id int, n int, wage int) PARTITION BY LIST (n);
CREATE TABLE calls_1 PARTITION OF calls FOR VALUES IN (1);
CREATE TABLE calls_2 PARTITION OF calls FOR VALUES IN (2);
CREATE INDEX ON calls ((wage + 1));
INSERT INTO calls SELECT g, 1, 30000 + g FROM generate_series(1, 9) g;

CREATE TABLE vaults (id int PRIMARY KEY, pin text, label text GENERATED ALWAYS AS (pin || '!') STORED);
INSERT INTO vaults VALUES (1, 'secret');

-- What is recomputed from a mask, 0, may fail for what a test writes; what is stored did not.
CREATE TABLE quotas (id int PRIMARY KEY, team text, wage int, q int, p int,
                     share int GENERATED ALWAYS AS (CASE WHEN wage = 0 THEN p * 1000 / q ELSE 0 END) STORED,
                     shown text GENERATED ALWAYS AS (team || ':'::text || wage) STORED);
CREATE INDEX ON quotas (team, wage) INCLUDE (id, q, p);
INSERT INTO quotas SELECT g, 'team ' || g % 5, 30000 + g * 7919 % 10000,
                          1, 1
FROM generate_series(1, 200) g;

-- Which of two conditions a row is against, what it holds says.
CREATE TABLE wards (id int PRIMARY KEY, team text, wage int, q int, n int, CONSTRAINT c1 CHECK (n <> q), CONSTRAINT c2 CHECK (n <> q + 1));
CREATE INDEX ON wards (team, wage) INCLUDE (id, q);
INSERT INTO wards SELECT g, 'team 1', 30000 + g, 100 + g, 0 FROM generate_series(1, 9) g;
CREATE TABLE ward_one (id int REFERENCES wards);
CREATE TABLE ward_two (id int REFERENCES wards);
INSERT INTO ward_one VALUES (1);
INSERT INTO ward_two VALUES (2);
-- What refers to a row leaves a lock on it, and its own transaction's number.
CREATE TABLE grades (id int PRIMARY KEY, name text);
INSERT INTO grades SELECT 30000 + g, 'grade ' || g FROM generate_series(1, 9) g;
CREATE TABLE graded (id int PRIMARY KEY, n int, wage int REFERENCES grades);
DO $$ BEGIN FOR g IN 1..9 LOOP INSERT INTO graded VALUES (g, g, 30000 + g); COMMIT; END LOOP; END $$;
CREATE TABLE grades_later (id int PRIMARY KEY);
CREATE VIEW grade_names AS SELECT id, name FROM grades;
CREATE VIEW grade_list AS SELECT id FROM grade_names;
CREATE TABLE all_grades (id int, name text);
CREATE TABLE old_grades (PRIMARY KEY (id)) INHERITS (all_grades);
CREATE TABLE old_graded (id int PRIMARY KEY, wage int REFERENCES old_grades);
CREATE TABLE graded_later (id int PRIMARY KEY, n int, wage int);
INSERT INTO graded_later SELECT g, g, 30000 + g FROM generate_series(1, 9) g;
ALTER TABLE graded_later ADD FOREIGN KEY (wage) REFERENCES grades_later NOT VALID;
CREATE TABLE moved (id int PRIMARY KEY, wage int, kept int GENERATED ALWAYS AS (id + 1) STORED);
INSERT INTO moved SELECT g, 30000 + g FROM generate_series(1, 9) g;

-- The same of a key that the role does not see, and what refers to it is clear.
CREATE TABLE scales (id int PRIMARY KEY, wage int UNIQUE);
INSERT INTO scales SELECT g, 30000 + g FROM generate_series(1, 9) g;
CREATE TABLE scaled (id int PRIMARY KEY, scale int REFERENCES scales (wage));
DO $$ BEGIN FOR g IN 1..9 LOOP INSERT INTO scaled VALUES (g, 30000 + g); COMMIT; END LOOP; END $$;
-- Which partition a row is in tells of its wage, and where in it the row is, which partition that is.
CREATE TABLE bands (id int, n int, wage int) PARTITION BY RANGE (wage);
CREATE TABLE bands_low PARTITION OF bands FOR VALUES FROM (0) TO (30005);
CREATE TABLE bands_high PARTITION OF bands FOR VALUES FROM (30005) TO (99999);
INSERT INTO bands SELECT g, g, 30000 + g FROM generate_series(1, 9) g;
CREATE INDEX ON bands (n);
CREATE TABLE weighed (id int PRIMARY KEY, wage int);
CREATE INDEX weighed_heavy ON weighed (id) WHERE wage > 30005;
INSERT INTO weighed SELECT g, 30000 + g FROM generate_series(1, 9) g;
-- An update that changes nothing an index holds leaves the row where it can be found again.
CREATE TABLE limits_of (id int PRIMARY KEY, n int, wage int, cap int) WITH (fillfactor = 50);
CREATE INDEX ON limits_of (n, wage);
CREATE TABLE caps (LIKE limits_of INCLUDING ALL);
INSERT INTO limits_of SELECT g, g, 30000 + g FROM generate_series(1, 9) g;
-- Keys of which several equal one value of another type, or under another collation, and what looks like a key.
CREATE TABLE flakes (id bigint PRIMARY KEY, n int, wage int, code varchar(9) UNIQUE);
CREATE INDEX ON flakes (n, wage) INCLUDE (id, code);
INSERT INTO flakes SELECT 1152921504606846976 + g, 1, 30000 + g * 7919 % 10000, 'k' || repeat(' ', g)
FROM generate_series(1, 8) g;
CREATE TABLE marks (id int PRIMARY KEY, lv int, n int, wage int);
CREATE UNIQUE INDEX marks_by_lv ON marks (lv);
CREATE INDEX ON marks (n, wage) INCLUDE (id, lv);
UPDATE pg_index SET indisvalid = false, indisready = false WHERE indexrelid = 'marks_by_lv'::regclass;
INSERT INTO marks SELECT g, 1, 1, 30000 + g * 7919 % 10000 FROM generate_series(1, 8) g;
CREATE TABLE steps (id int, r text, n int, wage int) PARTITION BY LIST (r);
CREATE TABLE steps_a PARTITION OF steps FOR VALUES IN ('a');
ALTER TABLE steps_a ALTER id SET NOT NULL, ALTER r SET NOT NULL;
ALTER TABLE ONLY steps ADD PRIMARY KEY (id, r);
CREATE INDEX ON steps_a (n, wage) INCLUDE (id, r);
INSERT INTO steps SELECT 1, 'a', g % 2, 30000 + g * 7919 % 10000 FROM generate_series(1, 16) g;
CREATE TABLE labelled (k text PRIMARY KEY, n int, wage int);
CREATE INDEX ON labelled (n, wage) INCLUDE (k);
INSERT INTO labelled SELECT CASE WHEN g & 1 = 0 THEN 'a' ELSE 'A' END || CASE WHEN g & 2 = 0 THEN 'b' ELSE 'B' END
  || CASE WHEN g & 4 = 0 THEN 'c' ELSE 'C' END, 1, 30000 + g * 7919 % 10000 FROM generate_series(1, 8) g;
CREATE VIEW caps_seen AS SELECT id FROM caps WHERE cap IS NULL OR true;
CREATE VIEW all_bands AS SELECT id, n FROM bands TABLESAMPLE SYSTEM (100);

DO $$ BEGIN
IF current_setting('server_version_num')::int >= 160000 THEN
  CREATE TABLE posts (id int, n int, wage int, code text GENERATED ALWAYS AS (n::text) STORED,
                      pay int GENERATED ALWAYS AS (wage + 1) STORED, kind int GENERATED ALWAYS AS (n + 1) STORED)
    PARTITION BY LIST (n);
  CREATE TABLE posts_1 (id int, n int, wage int, code text GENERATED ALWAYS AS (wage::text) STORED,
                        pay int GENERATED ALWAYS AS (wage + 2) STORED, kind int GENERATED ALWAYS AS (n + 2) STORED);
  ALTER TABLE posts ATTACH PARTITION posts_1 FOR VALUES IN (1);
  INSERT INTO posts SELECT g, 1, 30000 + g FROM generate_series(1, 9) g;
  CREATE FUNCTION known(t text) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
    AS 'SELECT EXISTS (SELECT FROM public.quotas WHERE wage::text = t)';
  CREATE DOMAIN paid AS text CHECK (public.known(VALUE));
ELSE
  CREATE TABLE posts (id int, n int, wage int);
END IF;
IF current_setting('server_version_num')::int >= 170000 THEN
  EXECUTE $q$CREATE DOMAIN holds AS text CHECK (json_value(VALUE::jsonb, '$.a' RETURNING paid) IS NOT NULL)$q$;
END IF;
IF current_setting('server_version_num')::int >= 180000 THEN
  EXECUTE $q$
  CREATE TABLE guesses (id int PRIMARY KEY, n int, wage int,
                        same int GENERATED ALWAYS AS (nullif(wage, n)) VIRTUAL NOT NULL);
  INSERT INTO guesses SELECT g, g, 30000 + g FROM generate_series(1, 9) g;
  CREATE TABLE lists (id int PRIMARY KEY, n int NOT NULL, wage int, fill text,
                      place int GENERATED ALWAYS AS (id + 0) VIRTUAL);
  CREATE INDEX ON lists (wage) INCLUDE (id, n);
  INSERT INTO lists SELECT g, g, 30000 + g * 7919 % 10000, repeat('x', 900) FROM generate_series(1, 2000) g;
  CREATE TABLE rates_of (id int PRIMARY KEY, team text, wage int, q int, p int,
                         d int GENERATED ALWAYS AS (p * 1000 / q) VIRTUAL,
                         y numeric GENERATED ALWAYS AS (CASE WHEN q = 0 THEN 1.0 ELSE 1.00 END) VIRTUAL);
  CREATE INDEX ON rates_of (team, wage) INCLUDE (id, q, p);
  INSERT INTO rates_of (id, team, wage, q, p) SELECT id, team, wage, q, p FROM quotas;
  CREATE TABLE unpaid (id int PRIMARY KEY, n int, wage int);
  INSERT INTO unpaid SELECT g, g, nullif(30000 + g, 30005) FROM generate_series(1, 9) g;
  ALTER TABLE unpaid ADD CONSTRAINT paid NOT NULL wage NOT VALID;
  $q$;
ELSE
  -- The policy names them.
  CREATE TABLE guesses (id int, n int, wage int);
  CREATE TABLE lists (id int, n int, wage int);
  CREATE TABLE rates_of (id int, q int, p int, wage int);
  CREATE TABLE unpaid (id int, n int, wage int);
END IF;
END $$;
-- The day that Samoa left out begins when the next does.
CREATE TABLE days (day date PRIMARY KEY, n int, wage int);
INSERT INTO days SELECT date '2011-12-01' + g, 1, 30000 + g * 7919 % 10000 FROM generate_series(0, 60) g;
CREATE INDEX ON days (n, wage);
-- What is tested when its transaction ends.
CREATE TABLE tabs (id int PRIMARY KEY);
INSERT INTO tabs VALUES (1);
CREATE TABLE owed (id int PRIMARY KEY, n int, wage int,
  tab int REFERENCES tabs DEFERRABLE INITIALLY DEFERRED, seat int UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO owed SELECT g, 1, 30000 + g * 7919 % 10000, 1, g FROM generate_series(1, 60) g;
CREATE INDEX ON owed (n, wage);
CREATE SEQUENCE drawn;
-- Rows of the role's own come among these.
CREATE TABLE ranks (id int PRIMARY KEY, n int, wage int);
INSERT INTO ranks SELECT g, g % 7, 30000 + g * 7919 % 10000 FROM generate_series(1, 2000) g;
CREATE INDEX ON ranks (n, wage);
CREATE VIEW ranked AS SELECT id, n FROM ranks;
-- Referred to by who is paid what.
CREATE TABLE levels (id int PRIMARY KEY, code int UNIQUE, n int);
CREATE TABLE levels_known (id int PRIMARY KEY, code int UNIQUE, n int);
CREATE TABLE levels_made (id int PRIMARY KEY, n int, m int, code int GENERATED ALWAYS AS (m) STORED UNIQUE);
INSERT INTO levels SELECT g, g, g FROM generate_series(1, 9) g;
INSERT INTO levels_known TABLE levels;
INSERT INTO levels_made SELECT g, g, g FROM generate_series(1, 9) g;
CREATE TABLE paid_by (id int PRIMARY KEY, wage int REFERENCES levels REFERENCES levels_known REFERENCES levels_made);
-- Views that show nothing protected.
CREATE VIEW gathered AS SELECT n, array_agg(id) AS ids FROM owed GROUP BY n;
CREATE VIEW numbered AS SELECT id, row_number() OVER (PARTITION BY n) AS r FROM owed;
CREATE VIEW firsts AS SELECT DISTINCT ON (n) n, id FROM owed ORDER BY n;
CREATE VIEW one_of AS SELECT id FROM owed WHERE n = 1 LIMIT 1;
CREATE VIEW sesame AS SELECT id FROM owed WHERE 'open' <> 'sesame';
CREATE VIEW defined AS SELECT pg_get_viewdef('sesame'::regclass) AS d, pg_relation_size('ranks'::regclass) AS size;
CREATE VIEW locked AS SELECT locktype FROM pg_locks;
CREATE VIEW kept AS SELECT v, current_setting(v, true) AS value FROM (VALUES ('clinic.word'), ('TimeZone')) t (v);
ALTER DATABASE clinic SET clinic.word = 'sesame';
-- Nobody knows what the server behind it tests.
CREATE FOREIGN DATA WRAPPER far;
CREATE SERVER far FOREIGN DATA WRAPPER far;
CREATE FOREIGN TABLE far (id int, n int, wage int) SERVER far;
CREATE FOREIGN TABLE near (id int, n int) SERVER far;
CREATE SCHEMA apart;
GRANT USAGE ON SCHEMA apart TO PUBLIC;
CREATE TABLE apart.split (id int, n int, wage int) PARTITION BY LIST (n);
CREATE TABLE apart.split_1 PARTITION OF apart.split FOR VALUES IN (1);
CREATE FOREIGN TABLE apart.split_2 PARTITION OF apart.split FOR VALUES IN (2) SERVER far;
CREATE MATERIALIZED VIEW well_paid AS SELECT id FROM ledgers WHERE wage > 35000;
CREATE INDEX ON well_paid (id) WHERE id > 9;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC;
DO $$ BEGIN
  IF (SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i') THEN
    CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  END IF;
END $$;
GRANT USAGE ON SEQUENCE drawn TO PUBLIC;
VACUUM ANALYZE ledgers;
VACUUM ANALYZE well_paid;
VACUUM ANALYZE owed;
VACUUM ANALYZE ranks;
VACUUM ANALYZE days;
VACUUM ANALYZE bands;
VACUUM ANALYZE weighed;
VACUUM ANALYZE quotas;
VACUUM ANALYZE lists;
