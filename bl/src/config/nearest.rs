//! What was probably meant by a name that is not known.

/// The nearest of `known`, if it is near enough for a slip of the keyboard.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    // A third of the letters wrong is still a slip; more is another word.
    let slip = (wrong.chars().count() / 3).max(2);
    known
        .map(|name| (strsim::damerau_levenshtein(&wrong, name), name))
        .filter(|(distance, _)| *distance <= slip)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// `; did you mean "x"?` for the nearest of `known`, or all of them where none is near.
pub(super) fn did_you_mean<'a>(
    wrong: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    match nearest(wrong, known.clone()) {
        Some(name) => format!("; did you mean \"{name}\"?"),
        None => format!("; known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
