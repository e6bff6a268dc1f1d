//! Which language a text is written in, for the choice of the lexical analyser.

/// Texts shorter than this say too little, in characters.
const MIN_CHARS: usize = 40;

/// Returns the ISO 639-1 code of `text`; `None` when it is too short or not clear.
pub fn detect(text: &str) -> Option<&'static str> {
    let sample: String = text.chars().take(2_000).collect();
    if sample.chars().count() < MIN_CHARS {
        return None;
    }
    let info = whatlang::detect(&sample)?;
    if !info.is_reliable() && info.confidence() < 0.5 {
        return None;
    }
    code(info.lang())
}

/// Returns which of `codes` a query is in; `None` when it is too short or not clear. With few languages to choose from, a
/// dozen letters can be enough.
pub fn among<'a>(text: &str, codes: &[&'a str]) -> Option<&'a str> {
    let known =
        |wanted: &&str| CODES.iter().find(|(_, code)| code == wanted).map(|(lang, _)| *lang);
    let languages: Vec<whatlang::Lang> = codes.iter().filter_map(known).collect();
    let info = whatlang::Detector::with_allowlist(languages).detect(text)?;
    let found = code(info.lang())?;
    let is_clear = info.is_reliable() || info.confidence() > 0.8;
    codes.iter().find(|code| is_clear && **code == found).copied()
}

/// Returns the ISO 639-1 code of the languages that have an analyser or are written without spaces.
fn code(lang: whatlang::Lang) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == lang).map(|(_, code)| *code)
}

const CODES: &[(whatlang::Lang, &str)] = &[
    (whatlang::Lang::Ara, "ar"),
    (whatlang::Lang::Cmn, "zh"),
    (whatlang::Lang::Dan, "da"),
    (whatlang::Lang::Deu, "de"),
    (whatlang::Lang::Ell, "el"),
    (whatlang::Lang::Eng, "en"),
    (whatlang::Lang::Fin, "fi"),
    (whatlang::Lang::Fra, "fr"),
    (whatlang::Lang::Hun, "hu"),
    (whatlang::Lang::Ita, "it"),
    (whatlang::Lang::Jpn, "ja"),
    (whatlang::Lang::Kor, "ko"),
    (whatlang::Lang::Nld, "nl"),
    (whatlang::Lang::Nob, "no"),
    (whatlang::Lang::Por, "pt"),
    (whatlang::Lang::Ron, "ro"),
    (whatlang::Lang::Rus, "ru"),
    (whatlang::Lang::Spa, "es"),
    (whatlang::Lang::Swe, "sv"),
    (whatlang::Lang::Tam, "ta"),
    (whatlang::Lang::Tur, "tr"),
];

#[cfg(test)]
mod tests {
    use super::detect;

    #[test]
    fn clear_texts() {
        assert_eq!(
            detect("The temperature of the trailer is measured every minute by two sensors."),
            Some("en")
        );
        assert_eq!(
            detect("Die Temperatur des Anhängers wird jede Minute von zwei Sensoren gemessen."),
            Some("de")
        );
        assert_eq!(detect("ok"), None);
    }
}
