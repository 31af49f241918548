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
