//! Lists in JSON. The fields of an object are read from a list too, in their order, where nobody looks; and nobody means that.

/// Where lists begin.
pub(super) fn lists(text: &[u8]) -> impl Iterator<Item = usize> {
    let (mut inside, mut escaped) = (false, false);
    text.iter().enumerate().filter_map(move |(at, byte)| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            b'[' if !inside => return Some(at),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bracket_in_a_text_is_no_list() {
        let all = |text: &str| lists(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all(r#"[1]"#), [0]);
        assert_eq!(all(r#"{"a[":"[\"[","b":[2]}"#), [17]);
        assert_eq!(all(r#"{"a\\":[]}"#), [7]);
        assert_eq!(all(r#"{"tail":"[x]"}"#), [0; 0]);
    }
}
