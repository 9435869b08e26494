//! The words an enum is written with, asked of its own `Deserialize`, so that no list beside the type can be forgotten.
//!
//! Owns: [`variants`]. Refuses to know: which enum, and what its variants hold.

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor, value::Error as ValueError},
    forward_to_deserialize_any,
};

/// The words of the variants of `E`, in the order of the type. Empty when `E` is no enum.
#[must_use]
pub fn variants<'de, E: Deserialize<'de>>() -> &'static [&'static str] {
    let mut found: &'static [&'static str] = &[];
    // The listener never gives a value, so an error is the only outcome; what matters was heard before it.
    let _no_value: Result<E, ValueError> = E::deserialize(Listener { found: &mut found });
    found
}

/// A deserializer that hears which enum is expected of it and then refuses.
struct Listener<'a> {
    found: &'a mut &'static [&'static str],
}

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("nothing to read"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        *self.found = variants;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}
