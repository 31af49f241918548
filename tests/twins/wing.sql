-- Equal values that are stored otherwise. Which of them a row of payroll goes with is for a query to say.
CREATE TABLE rates (id int PRIMARY KEY, x numeric, f float8, span interval, doc jsonb, lone numeric);
INSERT INTO rates VALUES (1, 1.0, '-0', '1 mon', '1.0', 7), (2, 1.00, 0, '30 days', '1.00', 8);
CREATE VIEW spelled AS
    SELECT p.id, p.team, r.x, CASE WHEN p.id = 2 THEN 1.0 ELSE 1.00 END AS made
    FROM payroll p JOIN rates r ON r.id = CASE WHEN p.id = 2 THEN 1 ELSE 2 END;
CREATE VIEW divided AS SELECT id, team, 100 / (id - 2) AS r FROM payroll;
GRANT SELECT ON rates, spelled, divided TO PUBLIC;
