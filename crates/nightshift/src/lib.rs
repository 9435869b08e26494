//! The binary: configuration, command line, wiring, signals.
//!
//! Owns: which concrete adapters are used, and what a person sees.
//! Refuses to know: rules of the domain; they are asked for, never repeated here.

mod access;
pub mod app;
pub mod args;
pub mod bench;
pub mod commands;
pub mod config;
pub mod control;
pub mod exit;
pub mod facts;
pub mod manager;
pub mod names;
pub mod observe;
pub mod output;
pub mod real;
mod registry;
