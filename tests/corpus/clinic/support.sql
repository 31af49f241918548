-- The masked copy of role support: every protected cell replaced by what the role may see of it,
-- following the words of the policy by hand. Constraints are not enforced on a masked copy.
ALTER TABLE patients DROP CONSTRAINT patients_email_key;

-- {keep_first: 1}: at least one character is hidden; what is too short is hidden whole
UPDATE patients SET name = CASE WHEN length(name) < 2 THEN repeat('*', length(name))
                                ELSE left(name, 1) || repeat('*', length(name) - 1) END;
UPDATE staff SET name = left(name, 1) || repeat('*', length(name) - 1);
-- {keep_first: 1, stop_at: "@"}
UPDATE patients SET email = CASE
  WHEN strpos(email, '@') <= 1 THEN repeat('*', length(email))
  WHEN strpos(email, '@') = 2 THEN '*' || substr(email, 2)
  ELSE left(email, 1) || repeat('*', strpos(email, '@') - 2) || substr(email, strpos(email, '@')) END;
UPDATE staff SET email = left(email, 1) || repeat('*', strpos(email, '@') - 2) || substr(email, strpos(email, '@'));
-- {keep_first: 3, keep_last: 4, min_hidden: 4}; every number here has eleven digits
UPDATE patients SET mobile = left(mobile, 3) || '****' || right(mobile, 4);
-- {keep_last: 4, min_hidden: 12}; every number here has eighteen characters
UPDATE patients SET id_number = repeat('*', 14) || right(id_number, 4);
-- {truncate: year}
UPDATE patients SET born = make_date(extract(year FROM born)::int, 1, 1);
-- {round_to: 10}
UPDATE patients SET weight = floor(weight / 10) * 10;
-- nullify, constant
UPDATE patients SET notes = NULL;
UPDATE staff SET salary = 0;
UPDATE payroll SET wage = 0;
-- deny
ALTER TABLE staff DROP COLUMN pin;

REFRESH MATERIALIZED VIEW contact_lines;
ANALYZE;
ALTER TABLE refunds DROP CONSTRAINT refunds_sale_fkey;
UPDATE refunds SET sale = 0;
UPDATE sales SET price = 0, grade = 0;
UPDATE lockers SET code = NULL;
