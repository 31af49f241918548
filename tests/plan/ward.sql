-- What the planner's cases need beside the clinic: tables to write to, generated columns, a composite
-- column, a second token domain, partitions, an array, a schema outside the search path, more views.
CREATE TABLE tickets (
  id int PRIMARY KEY,
  patient_id int REFERENCES patients,
  contact varchar(80),
  reference text,
  body text,
  city text DEFAULT 'Lund'
);
CREATE TABLE people (
  id int PRIMARY KEY,
  given text NOT NULL,
  family text NOT NULL,
  whole text GENERATED ALWAYS AS (given || ' ' || family) STORED,
  initials text GENERATED ALWAYS AS (upper(left(given, 1)) || upper(left(family, 1))) STORED,
  code text GENERATED ALWAYS AS ('P' || left(given, 0)) STORED,
  phones varchar(20)[]
);
CREATE TABLE accounts (
  number varchar(18) PRIMARY KEY,
  holder varchar(18),
  card varchar(20),
  balance numeric(12,2) NOT NULL,
  secret text
);
CREATE TABLE logins (at date NOT NULL, email varchar(80), ok boolean NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE logins_2025 PARTITION OF logins FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
-- Divided by who may not be seen, and once more by what may.
CREATE TABLE passes (id int NOT NULL, holder varchar(80), day int, note text) PARTITION BY HASH (holder);
CREATE TABLE passes_0 PARTITION OF passes FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE passes_1 PARTITION OF passes FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY LIST (day);
CREATE TABLE passes_1_1 PARTITION OF passes_1 DEFAULT;
CREATE TABLE logins_2026 PARTITION OF logins FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE calls (id int, mail varchar(80));
CREATE TABLE missed_calls () INHERITS (calls);
CREATE SCHEMA archive;
CREATE TABLE archive.patients (id int, email varchar(80), closed date);
CREATE TABLE email (id int, patients int);
CREATE TABLE "Odd ""Table" (id int, "select" varchar(80), "p.email" text);

CREATE EXTENSION citext;
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1, $1)::pair';
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int) AS ASSIGNMENT;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE FUNCTION mood_words(mood) RETURNS text LANGUAGE sql AS $$SELECT 'a mood'$$;
CREATE CAST (mood AS text) WITH FUNCTION mood_words(mood) AS IMPLICIT;
CREATE TYPE weekday AS ENUM ('mo', 'tu');
CREATE CAST (weekday AS text) WITH INOUT AS IMPLICIT;
CREATE DOMAIN adult AS text CHECK (VALUE > 'b');
CREATE TYPE adult_pair AS (a adult, b adult);
CREATE TABLE labels (id int PRIMARY KEY, name citext, other citext, plain text,
  feeling mood, twin pair, day weekday);
CREATE TABLE members (
  id int PRIMARY KEY,
  email varchar(80) UNIQUE,
  mobile varchar(20),
  region text NOT NULL DEFAULT 'north',
  age int,
  sponsor varchar(80) REFERENCES members (email),
  UNIQUE (region, mobile),
  CHECK (age <> length(email))
);
CREATE TABLE guests (id int PRIMARY KEY, email varchar(80) UNIQUE);
-- Domains whose constraints ask who is a member.
CREATE FUNCTION is_member(text) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT $1 IN (SELECT email FROM members)';
CREATE FUNCTION same_member(text, text) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT is_member($1)';
CREATE OPERATOR <~> (LEFTARG = text, RIGHTARG = text, FUNCTION = same_member);
CREATE DOMAIN tidy AS text CHECK (lower(VALUE) = VALUE AND VALUE !~ 'funcid 1');
CREATE DOMAIN member AS text CHECK (is_member(VALUE));
CREATE DOMAIN trusted AS member;
CREATE DOMAIN vouched AS text CHECK (VALUE::member IS NOT NULL);
CREATE DOMAIN paired AS text CHECK (VALUE <~> VALUE);
CREATE TYPE member_span AS RANGE (subtype = member);
CREATE FUNCTION by_member(text, text) RETURNS int LANGUAGE sql IMMUTABLE SECURITY DEFINER
  AS 'SELECT CASE WHEN $1 < $2 THEN -1 WHEN $1 = $2 THEN 0 ELSE 1 END';
CREATE OPERATOR CLASS by_member_ops FOR TYPE text USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
  OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 by_member(text, text);
CREATE TYPE seat_span AS RANGE (subtype = text, subtype_opclass = by_member_ops, multirange_type_name = seat_spans);
CREATE TYPE member_card AS (holder member, since date);
CREATE TABLE referrals (id int PRIMARY KEY, holder member, others member[], span member_span,
  card member_card, code tidy);
CREATE INDEX ON logins_2026 (email);

CREATE TABLE profiles (id int PRIMARY KEY, data jsonb);
INSERT INTO profiles VALUES (1, '{"contact": {"wechat": "qvorlund_w", "pref": "sms"}, "income": 51777, "lang": "sv"}'),
  (2, '{"contact": ["qvorlund_x"], "income": null, "lang": "zh"}'), (3, '["income", "qvorlund_y"]'), (4, NULL),
  (5, '{"contact": null, "lang": ["sv"]}'), (6, '"qvorlund_z"');

INSERT INTO labels VALUES (1, 'Alpha', 'ALPHA', 'alpha'), (2, 'beta', 'Gamma', 'BETA'),
  (3, NULL, 'Delta', 'delta'), (4, 'DELTA', NULL, NULL), (5, 'Zeta', 'zeta', 'Zeta');
INSERT INTO tickets VALUES (1, 1, 'ada.qvorlund@example.com', 'r-1', 'ring back', 'Lund'),
  (2, 3, 'ouyang.xn@example.net', 'r-2', NULL, '上海'), (3, NULL, NULL, NULL, 'lost', NULL);
INSERT INTO people (id, given, family, phones) VALUES (1, 'Ada', 'Qvorlund', '{13907714482,15500000001}'),
  (2, 'Grace', 'Zhemmick', NULL), (3, 'Li', 'Wei', '{}');
INSERT INTO accounts VALUES ('440524188001010014', '11010519491231002X', '6222020200112233', 120.50, 'k1'),
  ('310115199002298317', '510107198507235518', NULL, 0, NULL);
INSERT INTO logins VALUES ('2025-05-05', 'lilei.bxq@example.net', true), ('2026-01-09', 'w@example.org', false);
INSERT INTO archive.patients VALUES (1, 'old.ada@example.com', '2020-01-01'), (9, NULL, NULL);
INSERT INTO calls VALUES (1, 'zoe.q@example.com');
INSERT INTO missed_calls VALUES (2, 'li.q@example.com');
INSERT INTO email VALUES (1, 2), (7, 7);
INSERT INTO "Odd ""Table" VALUES (1, 'odd@example.com', 'x');

CREATE VIEW shared_emails AS
  SELECT p.email, count(*) AS uses FROM patients p JOIN tickets t ON t.contact = p.email GROUP BY p.email;
CREATE VIEW guarded WITH (security_barrier) AS SELECT id, email FROM patients WHERE notes IS NULL;
CREATE VIEW guarded_contacts WITH (security_barrier) AS SELECT id, email FROM patients WHERE city = 'Lund';
CREATE VIEW latest_visit AS SELECT DISTINCT ON (patient_id) patient_id, seen_on, diagnosis
  FROM visits ORDER BY patient_id, seen_on DESC;
CREATE FUNCTION triple(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 3';
CREATE FUNCTION staff_of(text) RETURNS SETOF staff LANGUAGE sql STABLE AS 'SELECT * FROM staff WHERE department = $1';
CREATE FUNCTION public.initcap(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''captured''';
-- A token's class in another type.
CREATE TABLE badges (id int PRIMARY KEY, mail char(80));
-- Numbers that keep their shape as tokens, and texts that are none: NULL to the analyst.
CREATE TABLE devices (id int PRIMARY KEY, serial varchar(20), spare varchar(20), site text, contact varchar(12));
INSERT INTO devices VALUES (1, '7000012345', '7000054321', 'Lund', 'bo@q.example'), (2, 'none', NULL, 'Lund', NULL),
  (3, '7000054321', 'none', NULL, 'e@q.example'), (4, NULL, '7000012345', 'none', 'li@q.example');
-- Equal under a collation that does not look at capitals, which a server built without ICU does not have.
CREATE TABLE nicknames (id int PRIMARY KEY, nick text, other text, plain text);
DO $$ BEGIN
  IF (SELECT count(*) > 9 FROM pg_collation WHERE collprovider = 'i') THEN
    CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    ALTER TABLE nicknames ALTER nick TYPE text COLLATE any_case, ALTER other TYPE text COLLATE any_case;
  END IF;
END $$;
INSERT INTO nicknames VALUES (1, 'Ada', 'ADA', 'ada'), (2, 'ADA', 'Bo', 'Ada'), (3, NULL, 'bo', NULL), (4, 'bo', NULL, 'bo');
-- Integers that stay integers as tokens.
CREATE TABLE meters (id int PRIMARY KEY, number int, holder bigint);
INSERT INTO meters VALUES (1, 12, 12), (2, NULL, 70000000003);
-- What a rule does beside a write, nobody has looked at.
CREATE TABLE forms (id int PRIMARY KEY, filed boolean);
CREATE RULE forms_filed AS ON INSERT TO forms DO ALSO NOTHING;
-- What PostgreSQL computes of several columns of a row, and holds in an index beside each other.
CREATE TABLE lots (
  id int PRIMARY KEY,
  amount int,
  price int,
  total int GENERATED ALWAYS AS (amount * price) STORED,
  rate int,
  wage int,
  note text,
  team text,
  secret text,
  title text,
  remark text,
  place varchar(20),
  nick varchar(20),
  name text,
  status text,
  code int,
  grade int DEFAULT 3,
  mark int,
  UNIQUE (code, grade)
);
CREATE INDEX ON lots ((100 / (wage - rate)));
CREATE INDEX ON lots (note) WHERE wage > 40000;
CREATE INDEX ON lots (team, secret);
CREATE INDEX ON lots (title) INCLUDE (remark);
CREATE INDEX ON lots (place, nick);
CREATE INDEX ON lots (lower(name)) WHERE status = 'open';
CREATE INDEX ON lots (status, wage);
CREATE UNIQUE INDEX ON lots (rate, coalesce(mark, 3)) WHERE rate > 0;
CREATE TABLE parts (id int PRIMARY KEY, lot int REFERENCES lots);
CREATE TABLE boxes (id int PRIMARY KEY);
CREATE TABLE crates (id int PRIMARY KEY, box int REFERENCES boxes ON DELETE CASCADE);
CREATE TABLE seals (id int PRIMARY KEY, crate int REFERENCES crates);
CREATE TABLE seats (id int PRIMARY KEY, box int REFERENCES boxes, guest varchar(80) REFERENCES guests (email));
CREATE TABLE wards (id int PRIMARY KEY, bed int, grade int, UNIQUE NULLS NOT DISTINCT (bed, grade));
CREATE TABLE shelves (code int DEFAULT 1, grade int DEFAULT 3, UNIQUE (code, grade));
CREATE TABLE tags (
  id int PRIMARY KEY,
  mail varchar(80),
  mark text,
  line varchar(90) GENERATED ALWAYS AS (mark || mail) STORED,
  remark text
);
CREATE INDEX ON tags (remark, mail);
CREATE TABLE racks (id int PRIMARY KEY, pair text, name text);
CREATE INDEX ON racks (pair, name);
