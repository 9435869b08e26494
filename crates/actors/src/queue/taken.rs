//! The places that are taken, and those that change hands within a run.
//!
//! Owns: how many places are in use. An attempt that ends offers its place to the next step of its run: until it is known
//! whether that takes it, two tokens share one place.
//! Refuses to know: who gets a place.

use std::collections::HashMap;

use nightshift_domain::run::Token;

use super::limits::Named;

/// Tokens that were given and not returned.
#[derive(Default)]
pub struct Taken {
    names: HashMap<Token, Vec<Named>>,
    /// Of two tokens that share a place, the older one by the newer one, and the other way round.
    elder: HashMap<Token, Token>,
    heir: HashMap<Token, Token>,
}

impl Taken {
    /// Places in use.
    pub fn places(&self) -> usize {
        self.names.len() - self.elder.len()
    }

    /// How many tokens hold no named place.
    pub fn nameless(&self) -> usize {
        self.names.values().filter(|names| names.is_empty()).count() - self.elder.len()
    }

    /// Whether a place may be handed on: it is held, and was not handed on before.
    pub fn may_hand_on(&self, token: Token) -> bool {
        self.names.contains_key(&token) && !self.heir.contains_key(&token)
    }

    /// A token holds a place of its own, and named ones.
    pub fn hold(&mut self, token: Token, names: Vec<Named>) {
        self.names.insert(token, names);
    }

    /// A token shares the place of one that is held.
    pub fn hand_on(&mut self, elder: Token, heir: Token) {
        self.hold(heir, Vec::new());
        self.elder.insert(heir, elder);
        self.heir.insert(elder, heir);
    }

    /// A token is returned: the named places it held. A place that two shared stays with the other one.
    pub fn release(&mut self, token: Token) -> Vec<Named> {
        if let Some(heir) = self.heir.remove(&token) {
            self.elder.remove(&heir);
        }
        if let Some(elder) = self.elder.remove(&token) {
            self.heir.remove(&elder);
        }
        self.names.remove(&token).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(nonce: u64) -> Token {
        Token { epoch: 1, nonce }
    }

    /// What is done, and how many places are in use after it.
    #[test]
    fn two_that_share_a_place_are_one_whichever_goes_first() {
        type Step = fn(&mut Taken);
        let share: Step = |taken| taken.hand_on(token(1), token(2));
        let old: Step = |taken| drop(taken.release(token(1)));
        let new: Step = |taken| drop(taken.release(token(2)));
        let next: Step = |taken| taken.hand_on(token(2), token(3));
        let last: Step = |taken| drop(taken.release(token(3)));
        for (steps, expected) in [
            (vec![share, old, new], vec![1, 1, 0]),
            (vec![share, new, old], vec![1, 1, 0]),
            (vec![share, new, new, old, old], vec![1, 1, 1, 0, 0]),
            // The heir ends and hands it on before the first has said that it is gone.
            (vec![share, next, old, new, last], vec![1, 1, 1, 1, 0]),
            (vec![share, next, new, old, last], vec![1, 1, 2, 1, 0]),
        ] {
            let mut taken = Taken::default();
            taken.hold(token(1), vec![]);
            let found: Vec<usize> = steps
                .into_iter()
                .map(|step| {
                    step(&mut taken);
                    taken.places()
                })
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_place_is_handed_on_once_and_only_by_who_holds_it() {
        let mut taken = Taken::default();
        assert!(!taken.may_hand_on(token(1)));
        taken.hold(token(1), vec![]);
        assert!(taken.may_hand_on(token(1)));
        taken.hand_on(token(1), token(2));
        assert!(!taken.may_hand_on(token(1)) && taken.may_hand_on(token(2)));
        taken.release(token(2));
        assert!(taken.may_hand_on(token(1)), "it was not used");
    }
}
