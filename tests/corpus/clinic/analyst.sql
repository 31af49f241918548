-- What role analyst may see in clear, for the tap: tokens are made by the proxy, so here they are NULL.
ALTER TABLE patients ALTER name DROP NOT NULL;
ALTER TABLE staff ALTER name DROP NOT NULL;
UPDATE patients SET name = NULL, email = NULL, mobile = NULL, id_number = NULL, notes = NULL,
  born = make_date(extract(year FROM born)::int, 1, 1), weight = floor(weight / 10) * 10;
ALTER TABLE payroll ALTER wage DROP NOT NULL;
UPDATE payroll SET wage = NULL;
UPDATE staff SET name = NULL, email = NULL, salary = NULL;
ALTER TABLE staff DROP COLUMN pin;
UPDATE keys SET small = NULL, number = NULL, big = NULL, code = NULL, ref = NULL, ext = NULL;
REFRESH MATERIALIZED VIEW contact_lines;
UPDATE refunds SET sale = NULL;
UPDATE sales SET price = NULL, grade = NULL;
UPDATE lockers SET code = NULL;
