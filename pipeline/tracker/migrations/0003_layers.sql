ALTER TABLE run ADD COLUMN layers TEXT;  -- of its network: JSON array of objects with text, output (sizes), parameters, multiply_adds
