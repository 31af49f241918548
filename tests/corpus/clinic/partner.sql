-- D_R of role partner, but for the tokens: the stage puts in those the proxy shows.
UPDATE patients SET mobile = NULL, notes = NULL, weight = floor(weight / 10) * 10,
  born = make_date(extract(year FROM born)::int, 1, 1);
UPDATE staff SET salary = NULL;
ALTER TABLE staff DROP COLUMN pin;
ALTER TABLE payroll ALTER wage DROP NOT NULL;
UPDATE payroll SET wage = NULL;
-- A token is longer than an ID number: it is a varchar without a length.
ALTER TABLE patients ALTER id_number TYPE varchar;
UPDATE refunds SET sale = NULL;
UPDATE sales SET price = NULL, grade = NULL;
UPDATE lockers SET code = NULL;
