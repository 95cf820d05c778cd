//! New ids, as `kafka-storage random-uuid` makes them.

use milena_protocol::stored::uuid_to_base64;
use uuid::Uuid;

/// A new id. Kafka makes none that begins with a dash, because tools would take it for a flag.
pub(crate) fn random() -> String {
    loop {
        let text = uuid_to_base64(Uuid::new_v4());
        if !text.starts_with('-') {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::random;

    #[test]
    fn ids_are_short_and_new() {
        assert_eq!(random().len(), 22);
        assert_ne!(random(), random());
    }
}
