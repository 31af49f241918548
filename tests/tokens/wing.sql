-- Beside the clinic: texts the analyst sees masked, in clear, and as tokens, among them pairs that are
-- equal as stored and different to the analyst, and the other way round.
CREATE TABLE referrals (
  id int PRIMARY KEY,
  patient_id int,
  sender varchar(80),
  recipient varchar(80),
  reason text,
  ward varchar(12),
  note varchar(80)
);
INSERT INTO referrals VALUES
 -- Sender as stored: patient 1. Masked: what recipient 2 is as stored.
 (1, 1, 'ada.qvorlund@example.com', 'a***', 'arrhythmia', 'Lund', 'kept'),
 (2, 2, 'a***', 'ada.qvorlund@example.com', 'check-up', 'w@e.org', NULL),
 (3, 3, NULL, '[none]', 'w@example.org', 'north', 'kept'),
 (4, 7, 'w@example.org', NULL, NULL, NULL, '[none]'),
 (5, NULL, '', '', '', '', '');
GRANT SELECT ON referrals TO clinic_proxy;

-- Numbers that keep their shape as tokens, but for a few that have none; an index on them.
CREATE TABLE serials (id int PRIMARY KEY, serial varchar(20));
INSERT INTO serials SELECT n, CASE WHEN n % 50 = 0 THEN 'none ' || n WHEN n % 50 = 1 THEN NULL
  ELSE '7' || lpad((n * 7919)::text, 9, '0') END FROM generate_series(1, 2000) n;
CREATE INDEX serials_by_serial ON serials (serial);
ANALYZE serials;
GRANT SELECT ON serials TO clinic_proxy;

-- Integers that stay integers as tokens: some twice, some below zero, one at each end of its type, and
-- numbers in int8 that int4 has too.
CREATE TABLE accounts (id int PRIMARY KEY, number int, holder bigint);
INSERT INTO accounts SELECT n, CASE WHEN n % 50 = 0 THEN NULL WHEN n % 7 = 0 THEN -n ELSE n / 2 * 7919 END,
  CASE WHEN n % 40 = 0 THEN NULL WHEN n % 3 = 0 THEN n * 7919 ELSE n * 70000000003 END
  FROM generate_series(1, 3000) n;
INSERT INTO accounts VALUES (3001, 2147483647, 9223372036854775807), (3002, -2147483648, -9223372036854775808),
  (3003, 0, 0), (3004, -1, -1);
CREATE INDEX accounts_by_number ON accounts (number);
CREATE INDEX accounts_by_holder ON accounts (holder);
CREATE TABLE transfers (id int PRIMARY KEY, source int, amount int);
INSERT INTO transfers SELECT n, n * 7919, n FROM generate_series(1, 300) n;
ANALYZE accounts;
GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, transfers TO clinic_proxy;

-- What PostgreSQL itself computes of what the analyst sees as tokens: of texts with capitals, too.
CREATE TABLE guests (id int PRIMARY KEY, name text, size int GENERATED ALWAYS AS (length(name)) STORED);
INSERT INTO guests VALUES (1, 'Ada QVORLUND'), (2, 'bo'), (3, NULL), (4, 'Zoë Ångström');
CREATE VIEW guest_list AS SELECT id, lower(name) AS name FROM guests;
CREATE VIEW guest_names WITH (security_barrier) AS SELECT id, lower(name) AS name FROM guests;
CREATE MATERIALIZED VIEW guest_book AS SELECT id, lower(name) AS name FROM guests;
GRANT SELECT ON guests, guest_list, guest_names, guest_book TO clinic_proxy;

-- Equal under a collation that does not look at capitals, which a server built without ICU does not have.
CREATE TABLE nicknames (id int PRIMARY KEY, nick text, plain text);
DO $$ BEGIN
  IF (SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i') THEN
    CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    ALTER TABLE nicknames ALTER nick TYPE text COLLATE any_case;
  END IF;
END $$;
-- The same beside bytes and the database's own collation.
CREATE TABLE words (id int PRIMARY KEY, loose text, strict varchar(60) COLLATE "C", padded char(20) COLLATE "C", plain text);
DO $$ BEGIN
  IF to_regcollation('any_case') IS NOT NULL THEN
    ALTER TABLE words ALTER loose TYPE text COLLATE any_case;
  END IF;
END $$;
INSERT INTO words VALUES (1, 'Ada', 'Ada', 'Ada', 'Ada'), (2, 'ADA', 'ADA', 'ADA', 'ADA'), (3, NULL, NULL, NULL, NULL),
  (4, 'bo', 'bo', 'bo', 'bo'), (5, 'Ada', 'Ada', 'Ada', 'Ada'), (6, 'bo', 'Ada', 'ADA', 'ada');
GRANT SELECT ON words TO clinic_proxy;
INSERT INTO nicknames VALUES (1, 'Ada', 'ada'), (2, 'ADA', 'Ada'), (3, NULL, NULL), (4, 'bo', 'bo'), (5, 'Ada', 'ADA');
GRANT SELECT ON nicknames TO clinic_proxy;

-- What changes with what is assigned: a column that is computed of it, and what a trigger, of one partition, sets.
CREATE TABLE drafts (id int, name text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, version int)
  PARTITION BY LIST (id);
CREATE TABLE drafts_1 PARTITION OF drafts FOR VALUES IN (1);
CREATE TABLE drafts_2 PARTITION OF drafts FOR VALUES IN (2);
INSERT INTO drafts (id, name, n, version) VALUES (1, 'Ada Qvorlund', 5, 1), (2, 'bo', 5, 1);
CREATE FUNCTION versioned() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.version := OLD.version + 1; RETURN NEW; END';
CREATE TRIGGER versioned BEFORE UPDATE ON drafts_2 FOR EACH ROW EXECUTE FUNCTION versioned();
GRANT SELECT, UPDATE ON drafts TO clinic_proxy;

-- What PostgreSQL 17 reads first.
DO $$ BEGIN
  IF current_setting('server_version_num')::int >= 170000 THEN
    EXECUTE 'CREATE VIEW local_births AS SELECT id, born, born::timestamp AT LOCAL AS birth FROM patients';
    EXECUTE 'GRANT SELECT ON local_births TO clinic_proxy';
  END IF;
END $$;
