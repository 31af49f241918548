-- The masked copy of role support, of the ward's tables, by hand from the words of the policy.
ALTER TABLE tickets DROP CONSTRAINT tickets_patient_id_fkey;
UPDATE tickets SET contact = left(contact, 1) || repeat('*', strpos(contact, '@') - 2) || substr(contact, strpos(contact, '@'));
-- {keep_last: 4, min_hidden: 12}: too short, hidden whole
UPDATE tickets SET reference = repeat('*', length(reference));
UPDATE people SET given = left(given, 1) || repeat('*', length(given) - 1),
  family = left(family, 1) || repeat('*', length(family) - 1),
  phones = CASE WHEN phones = '{}' THEN phones ELSE
    (SELECT array_agg(left(p, 3) || '****' || right(p, 4) ORDER BY o) FROM unnest(phones) WITH ORDINALITY AS u(p, o)) END;
UPDATE accounts SET holder = repeat('*', 14) || right(holder, 4), balance = floor(balance / 10) * 10;
ALTER TABLE accounts DROP COLUMN card, DROP COLUMN secret;
UPDATE logins SET email = CASE WHEN strpos(email, '@') = 2 THEN '*' || substr(email, 2)
  ELSE left(email, 1) || repeat('*', strpos(email, '@') - 2) || substr(email, strpos(email, '@')) END;
UPDATE calls SET mail = left(mail, 1) || repeat('*', strpos(mail, '@') - 2) || substr(mail, strpos(mail, '@'));
UPDATE archive.patients SET email = left(email, 1) || repeat('*', strpos(email, '@') - 2) || substr(email, strpos(email, '@'));
UPDATE "Odd ""Table" SET "select" = left("select", 1) || repeat('*', strpos("select", '@') - 2) || substr("select", strpos("select", '@'));
-- A computed column of a materialized view is denied.
DROP MATERIALIZED VIEW contact_lines;
CREATE MATERIALIZED VIEW contact_lines AS SELECT id FROM patients;
UPDATE profiles SET data = CASE
  WHEN jsonb_typeof(data) <> 'object' THEN 'null'
  WHEN jsonb_typeof(data -> 'contact') = 'object'
    THEN jsonb_set(jsonb_set(data, '{contact,wechat}', '"***"', false), '{income}', '0', false)
  ELSE jsonb_set(jsonb_set(data, '{contact}', 'null', false), '{income}', '0', false) END;
UPDATE nicknames SET nick = left(nick, 1) || repeat('*', length(nick) - 1),
  other = left(other, 1) || repeat('*', length(other) - 1), plain = left(plain, 1) || repeat('*', length(plain) - 1);
UPDATE devices SET site = '[hidden]' WHERE site IS NOT NULL;
UPDATE devices SET contact = CASE WHEN strpos(contact, '@') = 2 THEN '*' || substr(contact, 2)
  ELSE left(contact, 1) || repeat('*', strpos(contact, '@') - 2) || substr(contact, strpos(contact, '@')) END;
ALTER TABLE safes DROP COLUMN hint, DROP COLUMN pin;
