-- Registers by when somebody has to look at them. A kind is what stands before the first colon of a key.
create index register_due on headrace.register (split_part(key, ':', 1), due_at) where due_at is not null;
