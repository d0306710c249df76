//! AMQP 0-9-1 on bytes.
