-- The clinic: the small database every end-to-end case runs against. All people are invented.
-- Values of protected columns hold letters and digits found nowhere else, so that the tap can tell.
CREATE TABLE patients (
  id int PRIMARY KEY,
  name text NOT NULL,
  email varchar(80) UNIQUE,
  mobile varchar(20),
  id_number varchar(18),
  born date,
  weight numeric(5,2),
  city text NOT NULL,
  notes text
);
CREATE TABLE staff (
  id int PRIMARY KEY,
  name text NOT NULL,
  email varchar(80),
  salary int,
  pin text,
  department text NOT NULL
);
CREATE TABLE visits (
  id int PRIMARY KEY,
  patient_id int NOT NULL REFERENCES patients,
  doctor_id int NOT NULL REFERENCES staff,
  seen_on date NOT NULL,
  diagnosis text,
  fee numeric(8,2) NOT NULL
);

CREATE TABLE payroll (
  id int PRIMARY KEY,
  team text NOT NULL,
  wage int NOT NULL
);

INSERT INTO patients VALUES
 (1, 'Ada Qvorlund',   'ada.qvorlund@example.com',    '13907714482', '11010519491231002X', '1949-12-31', 61.50, 'Lund',   'kzwhq-9blvx-cwzt'),
 (2, 'Grace Zhemmick', 'grace.zhemmick@example.com',  '13816620935', '440524188001010014', '1980-01-01', 72.25, 'Lund',   NULL),
 (3, '欧阳晓楠',       'ouyang.xn@example.net',       '15033947721', '310115199002298317', '1990-02-28', 55.00, '上海',   '对青霉素过敏者'),
 (4, '李雷',           'lilei.bxq@example.net',       NULL,          '510107198507235518', '1985-07-23', 80.10, '成都',   NULL),
 (5, 'Zoë Pfannquist', NULL,                          '18655310078', NULL,                 '2001-11-05', 48.90, 'Lund',   'jxprfq-4mzrn'),
 (6, 'O''Brixwell',    'brixwell@example.org',        '13344028816', '330106197804126643', NULL,         99.99, 'Malmö',  NULL),
 (7, '王',             'w@example.org',               '13700991155', '420106200012078812', '2000-12-07', NULL,  '武汉',   'vbtwq-7xzpct'),
 (8, 'Héctor Wyndqast','hector.wyndqast@example.com', '17788240613', '610113196606060609', '1966-06-06', 70.00, '西安',   '');
INSERT INTO staff VALUES
 (1, 'Ines Kjollvart', 'ines.kjollvart@wardpost.example', 584213, 'zq7719xk', 'cardiology'),
 (2, 'Tomás Vurghild', 'tomas.vurghild@wardpost.example', 471965, 'wj3308vn', 'cardiology'),
 (3, '赵敏慧',         'zhao.mhx@wardpost.example',       612847, 'hb5526tp', 'surgery');
INSERT INTO visits VALUES
 (1, 1, 1, '2026-01-05', 'arrhythmia',  120.00),
 (2, 1, 2, '2026-02-10', 'arrhythmia',   80.00),
 (3, 2, 1, '2026-01-20', 'check-up',     50.00),
 (4, 3, 3, '2026-03-02', 'appendicitis',900.00),
 (5, 4, 3, '2026-03-09', NULL,           60.00),
 (6, 5, 2, '2026-03-11', 'check-up',     50.00),
 (7, 8, 1, '2026-03-15', 'hypertension', 75.50);

INSERT INTO payroll SELECT n, 'team ' || n % 4, 30000 + n * 7919 % 20011 FROM generate_series(1, 200) n;

-- Both hand out the lowest paid first, to whoever asks for one row of a department.
CREATE INDEX payroll_by_wage ON payroll (team, wage) INCLUDE (id);
CREATE INDEX staff_by_salary ON staff (department, salary) INCLUDE (name);
-- Every type a token fits, for the analyst: one row, one with NULLs.
CREATE TABLE keys (
  id int PRIMARY KEY,
  small int2,
  number int4,
  big int8,
  code char(12),
  ref uuid,
  ext uuid
);
INSERT INTO keys VALUES
  (1, 31847, 1958372641, 7294610385529174, 'qzv-77x', '5d0c9a1e-7b3f-4c68-9e21-83b6f0d4a7c9', 'e1f47b06-2c8d-4a95-b3e0-64d9175ac832'),
  (2, 27613, 1740926835, 9223372036854775807, 'wkp-31m', 'b8e25f43-91da-4706-8fc5-2d7a3e6b0914', '0d93c6ea-58f1-4b27-a1d4-c75e829f3b60'),
  (3, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE INDEX ON visits (patient_id);
CREATE INDEX ON patients (city);
CREATE VIEW patient_contacts AS SELECT id, name, email, mobile, city FROM patients;
CREATE VIEW contacts_in_lund (pid, who, mail) AS
  SELECT id, name, email FROM patient_contacts WHERE city = 'Lund';
CREATE VIEW mail_domains AS SELECT id, split_part(email, '@', 2) AS domain FROM patients;
CREATE VIEW visits_by_city AS
  SELECT p.city, count(*) AS visits, sum(v.fee) AS fees
  FROM patients p JOIN visits v ON v.patient_id = p.id GROUP BY p.city;
-- Apostrophes that end no literal, before one.
CREATE VIEW timetable AS SELECT id AS "o'clock", 'patients'::regclass AS of, 'zzq-41 kept' || seen_on AS mark FROM visits;
CREATE FUNCTION patient_email(int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT email FROM patients WHERE id = $1';
-- Values of this type are addresses of the clinic's patients, so a value's being one tells.
CREATE FUNCTION is_patient(text) RETURNS bool LANGUAGE sql STABLE SECURITY DEFINER
  AS 'SELECT $1 IN (SELECT email FROM patients)';
CREATE DOMAIN patient_address AS text CHECK (is_patient(VALUE));
CREATE MATERIALIZED VIEW contact_lines AS SELECT id, name || ' <' || email || '>' AS line FROM patients;

-- Written by the analyst, beside what PostgreSQL computes, indexes and refers to.
CREATE TABLE sales (
  id int PRIMARY KEY,
  amount int,
  price int,
  total int GENERATED ALWAYS AS (amount * price) STORED,
  rate int,
  note text,
  code int,
  grade int DEFAULT 3,
  UNIQUE (code, grade)
);
CREATE INDEX sales_by_rate ON sales ((100 / (price - rate)));
CREATE INDEX sales_by_note ON sales (note) WHERE price > 40000;
CREATE TABLE refunds (id int PRIMARY KEY, sale int REFERENCES sales);
INSERT INTO sales (id, amount, price, rate, code) VALUES (1, 2, 48213, 7, 1), (2, 3, 36479, 8, 2);
INSERT INTO refunds VALUES (1, 2);

-- What nobody writes is the owner's word.
CREATE TABLE lockers (
  id int PRIMARY KEY,
  code text DEFAULT 'hx2286qd',
  label text
);
INSERT INTO lockers VALUES (1, 'bw7714zr', 'left');

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clinic_proxy;
GRANT CREATE, TEMPORARY ON DATABASE clinic TO clinic_proxy;
-- Statistics hold values too: the cases that look there must find them.
ANALYZE;
