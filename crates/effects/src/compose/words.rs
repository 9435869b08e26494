//! Words, stems and the language they are in.
//!
//! Owns: tokens (also of scripts without spaces), stop words, the choice of a stemmer.
//! Refuses to know: sentences and documents.

use rust_stemmers::{Algorithm, Stemmer};

/// Longer "words" are data: addresses, hashes, encoded bytes.
const WORD_CHARS_MAX: usize = 40;

const ENGLISH: &str = "a about above after again all also am an and any are as at be because been before being below between both but by can could did do does doing down during each few for from further had has have having he her here hers him his how i if in into is it its itself just may me might more most must my no nor not now of off on once only or other our out over own same shall she should so some such than that the their them then there these they this those through to too under until up us use used using very via was we were what when where which while who whom why will with within without would you your";
const GERMAN: &str = "aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass dein dem den der des dessen dich die dies diese diesem diesen dieser doch dort du durch ein eine einem einen einer eines er es euer für hat hatte haben ich ihr im in ist ja jede jedem jeden jeder kann kein keine können man mehr mit muss nach nicht noch nun nur ob oder ohne sehr sein sich sie sind so soll sondern über um und uns unter vom von vor war was wenn werden wie wieder wir wird wo zu zum zur";
const FRENCH: &str = "a afin ai ainsi alors au aucun aussi autre aux avant avec avoir car ce cela ces cette ceux chaque ci comme dans de des donc du elle en encore est et être fait il ils je la le les leur lui mais me même mes moi mon ne ni nos notre nous on ou où par pas peu plus pour qu que qui sa sans se ses si son sont sur ta tes toi ton tous tout très tu un une vos votre vous y";
const SPANISH: &str = "a al algo ante antes aquí así aunque bien cada como con contra cual cuando de del desde donde dos el ella ellos en entre era es esa ese eso esta está este esto fue ha hasta hay la las le les lo los más me mi mientras muy nada ni no nos o os otra otro para pero poco por porque pues que qué quien se ser si sí sin sobre son su sus también tan te tiene todo tu un una uno y ya yo";

/// A language that the ranking knows, with its stemmer.
pub(super) struct Language {
    stop: &'static str,
    stemmer: Stemmer,
}

impl Language {
    /// The language whose stop words occur most; English when none does.
    pub(super) fn of(text: &str) -> Self {
        let sample: Vec<String> = tokens(text).take(600).collect();
        let hits = |stop: &str| sample.iter().filter(|word| is_stop(stop, word)).count();
        let known = [
            (ENGLISH, Algorithm::English),
            (GERMAN, Algorithm::German),
            (FRENCH, Algorithm::French),
            (SPANISH, Algorithm::Spanish),
        ];
        let mut best = (hits(ENGLISH), known[0]);
        for language in &known[1..] {
            let count = hits(language.0);
            if count > best.0 {
                best = (count, *language);
            }
        }
        Self { stop: best.1.0, stemmer: Stemmer::create(best.1.1) }
    }

    /// Stems of the words that carry meaning, in order.
    pub(super) fn stems(&self, text: &str) -> Vec<String> {
        tokens(text)
            .filter(|word| !is_stop(self.stop, word) && !word.chars().all(char::is_numeric))
            .filter(|word| word.chars().nth(1).is_some() || word.chars().any(is_ideograph))
            .map(|word| self.stemmer.stem(&word).into_owned())
            .collect()
    }
}

fn is_stop(stop: &str, word: &str) -> bool {
    stop.split(' ').any(|stop| stop == word)
}

/// Lower-case words. An ideograph is a word by itself, as such scripts write none apart.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty() && word.chars().nth(WORD_CHARS_MAX).is_none())
        .flat_map(|word| {
            if word.chars().any(is_ideograph) {
                word.chars().map(|c| c.to_string()).collect()
            } else {
                vec![word.to_lowercase()]
            }
        })
}

/// Chinese, Japanese and Korean characters, between which a line may break.
pub(super) const fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_follow_the_language() {
        let english = Language::of("the queue was draining and the leases are renewed");
        assert_eq!(english.stems("The leases were draining"), english.stems("leased drain"));
        let german = Language::of("der Speicher ist voll und die Schlange wird nicht geleert");
        assert_eq!(german.stems("die Häuser"), german.stems("Haus"));
        assert_eq!(Language::of("").stems("東京 2026 x ab"), ["東", "京", "ab"]);
    }
}
