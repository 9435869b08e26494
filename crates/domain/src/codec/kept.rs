//! Values that are written down as they are, each by code that is compiled once.
//!
//! Owns: which values of this crate these are. Refuses to know: events in the log, which have a type and a version beside them.
//!
//! A generic function is compiled by every crate that calls it, for every type it is called with, and to read a command
//! takes code for every type in it. So each of these types has functions of its own, which are compiled with the type.

use super::DecodeError;
use crate::{
    bulk,
    content::Material,
    decider::{Delta, Obligation, RecordedCtx},
    definition, deliverable, queue,
    recorded::Meta,
    run, schedule, source,
    streams::AnyCommand,
    topic,
};

/// A value that is written down. Implemented with [`crate::kept!`] where the type is.
pub trait Kept: Sized {
    /// As [`super::to_bytes`].
    ///
    /// # Errors
    /// See there.
    fn written(&self) -> Result<Vec<u8>, DecodeError>;

    /// As [`super::from_bytes`].
    ///
    /// # Errors
    /// See there.
    fn read(what: &str, bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Makes `codec::Kept` what serde can write and read.
#[macro_export]
macro_rules! kept {
    ($($kept:ty),+ $(,)?) => {$(
        impl $crate::codec::Kept for $kept {
            #[inline(never)]
            fn written(&self) -> Result<Vec<u8>, $crate::codec::DecodeError> {
                $crate::codec::write(self)
            }

            #[inline(never)]
            fn read(what: &str, bytes: &[u8]) -> Result<Self, $crate::codec::DecodeError> {
                $crate::codec::read(what, bytes)
            }
        }
    )+};
}

kept!(AnyCommand, Delta, Material, Meta, Obligation, RecordedCtx);
kept!(deliverable::State, deliverable::Command, deliverable::Event);
kept!(run::State, run::Command, run::Event);
kept!(schedule::State, schedule::Command, schedule::Event);
kept!(source::State, source::Command, source::Event);
kept!(definition::State, definition::Command, definition::Event);
kept!(topic::State, topic::Command, topic::Event);
kept!(queue::State, queue::Command, queue::Event);
kept!(bulk::State, bulk::Command, bulk::Event);
