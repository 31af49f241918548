-- A schema with one of everything that tools introspect, beside the clinic's tables.
CREATE SCHEMA wing;
COMMENT ON SCHEMA wing IS 'rooms and beds';
CREATE TYPE wing.severity AS ENUM ('mild', 'grave');
CREATE TYPE wing.dose AS (amount numeric(6,2), unit text);
CREATE TYPE wing.span AS RANGE (subtype = float8);
CREATE DOMAIN wing.code AS varchar(8) COLLATE "C" DEFAULT 'none' CHECK (VALUE ~ '^[a-z]+$');
CREATE COLLATION wing.plain FROM "C";
CREATE TABLE wing.beds (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  room wing.code NOT NULL,
  patient_id int REFERENCES public.patients ON DELETE SET NULL,
  state wing.severity DEFAULT 'mild',
  given wing.dose,
  tags text[] DEFAULT '{}',
  extra jsonb,
  label text GENERATED ALWAYS AS ('bed ' || room::text) STORED,
  during tsrange,
  since timestamptz(3) DEFAULT now(),
  UNIQUE (room, state),
  CONSTRAINT room_set CHECK (room <> 'nowhere'),
  EXCLUDE USING gist (during WITH &&)
);
COMMENT ON TABLE wing.beds IS 'one row a bed';
COMMENT ON COLUMN wing.beds.room IS 'short code of the room';
COMMENT ON CONSTRAINT room_set ON wing.beds IS 'a room has a name';
CREATE INDEX beds_free ON wing.beds (lower(room::text), since DESC) INCLUDE (state) WHERE patient_id IS NULL;
CREATE STATISTICS wing.beds_stat (dependencies, ndistinct) ON room, state FROM wing.beds;
CREATE TABLE wing.events (id bigserial, at date NOT NULL, note text) PARTITION BY RANGE (at);
CREATE TABLE wing.events_2026 PARTITION OF wing.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE wing.events_rest PARTITION OF wing.events DEFAULT;
CREATE TABLE wing.places (id int, where_ text);
CREATE TABLE wing.cellars (depth int) INHERITS (wing.places);
CREATE VIEW wing.free_beds WITH (security_barrier) AS
  SELECT id, room FROM wing.beds WHERE patient_id IS NULL AND room <> 'attic';
CREATE RULE no_cellars AS ON DELETE TO wing.cellars DO INSTEAD NOTHING;
CREATE FUNCTION wing.stamp() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN NEW.since := now(); RETURN NEW; END';
CREATE FUNCTION wing.double(n int, times int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE
  AS 'SELECT n * times';
CREATE FUNCTION wing.rooms(OUT id int, OUT room text) RETURNS SETOF record LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT id, room::text FROM wing.beds WHERE room <> 'attic'; END;
CREATE PROCEDURE wing.nothing() LANGUAGE sql AS '';
CREATE AGGREGATE wing.total (int) (sfunc = int4pl, stype = int, initcond = '0');
CREATE OPERATOR wing.=== (leftarg = int, rightarg = int, procedure = int4eq);
CREATE TRIGGER stamped BEFORE UPDATE ON wing.beds FOR EACH ROW
  WHEN (NEW.room <> 'attic') EXECUTE FUNCTION wing.stamp();
CREATE TABLE wing.guarded (id int, owner text DEFAULT current_user);
ALTER TABLE wing.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON wing.guarded FOR SELECT TO public USING (owner = 'nobody' OR id > 7);
CREATE FOREIGN DATA WRAPPER papers OPTIONS (shelf 'upper');
CREATE SERVER archive_box FOREIGN DATA WRAPPER papers OPTIONS (host 'box.example');
CREATE USER MAPPING FOR PUBLIC SERVER archive_box OPTIONS (password 'opensesame');
CREATE FOREIGN TABLE wing.scans (id int OPTIONS (page '1'), name text) SERVER archive_box OPTIONS (file 'scans');
CREATE TEXT SEARCH CONFIGURATION wing.terms (COPY = simple);
CREATE PUBLICATION outbox FOR TABLE wing.beds (id, room) WHERE (id <> 7);
CREATE SEQUENCE wing.tickets START 100 INCREMENT 5;
CREATE ROLE wing_nurse NOLOGIN;
GRANT USAGE ON SCHEMA wing TO wing_nurse;
ALTER DEFAULT PRIVILEGES IN SCHEMA wing GRANT SELECT ON TABLES TO wing_nurse;
ALTER ROLE wing_nurse IN DATABASE clinic SET statement_timeout = '10s';
GRANT USAGE ON SCHEMA wing TO clinic_proxy;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA wing TO clinic_proxy;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA wing TO clinic_proxy;
ANALYZE wing.beds;
