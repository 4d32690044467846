//! Cuts an expression into words, numbers, addresses and signs.
//!
//! As in libpcap a word takes all it can: `len-5` is one word, and `tcp-syn` too. An address wins over a word where
//! it is as long as what could belong to it.

use std::net::Ipv6Addr;

use sockeye_wire::MacAddr;

use super::ExpressionError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword, or what is none.
    Word(&'a str),
    /// A word behind a backslash: a name that is not to be taken as a keyword.
    Escaped(&'a str),
    Number(u32),
    /// Two to four numbers with dots between: the upper bytes of an IPv4 address, and how many they are.
    Dotted(u32, u32),
    Ipv6(Ipv6Addr),
    Mac(MacAddr),
    /// An operator or a parenthesis; `and`, `or` and `not` are `&&`, `||` and `!`; `=` is `==`.
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: [&str; 24] = [
    "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "(", ")", "[", "]", ":", "!", "=", "<", ">", "+", "-", "*", "/",
    "%", "&", "|",
];

/// Tokens with their places.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>, ExpressionError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        let (token, len) = if next.is_ascii_whitespace() {
            at += 1;
            continue;
        } else if let Some(found) = address(rest) {
            found
        } else if next.is_ascii_alphanumeric() {
            let word = word(rest);
            (classify(word).map_err(|reason| ExpressionError::new(at, reason))?, word.len())
        } else if next == '\\' {
            let word = word(&rest[1..]);
            (Token::Escaped(word), 1 + word.len())
        } else if next == '^' {
            (Token::Sign("^"), 1)
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
            let sign = sign
                .ok_or_else(|| ExpressionError::new(at, format!("`{}` means nothing here", next.escape_default())))?;
            (Token::Sign(if sign == "=" { "==" } else { sign }), sign.len())
        };
        tokens.push((at, token));
        at += len;
    }
    Ok(tokens)
}

/// A MAC or IPv6 address at the start, if all that could belong to it does.
fn address(text: &str) -> Option<(Token<'_>, usize)> {
    let len = text.bytes().take_while(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')).count();
    let run = &text[..len];
    if !run.contains(':') || text[len..].starts_with(|next: char| next.is_ascii_alphanumeric()) {
        return None;
    }
    let groups: Vec<&str> = run.split(':').collect();
    let byte = |group: &&str| (1..=2).contains(&group.len()).then(|| u8::from_str_radix(group, 16).ok()).flatten();
    let bytes: Option<Vec<u8>> = groups.iter().map(byte).collect();
    if let Some(Ok(bytes)) = bytes.map(<[u8; 6]>::try_from) {
        return Some((Token::Mac(MacAddr(bytes)), len));
    }
    run.parse().ok().map(|address| (Token::Ipv6(address), len))
}

fn word(text: &str) -> &str {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let len = text.bytes().take_while(belongs).count();
    text[..len].trim_end_matches(['-', '_'])
}

fn classify(word: &str) -> Result<Token<'_>, String> {
    match word {
        "and" => return Ok(Token::Sign("&&")),
        "or" => return Ok(Token::Sign("||")),
        "not" => return Ok(Token::Sign("!")),
        _ => {}
    }
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(Token::Word(word));
    }
    if word.contains('.') && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let parts: Option<Vec<u8>> = word.split('.').map(|part| part.parse().ok()).collect();
        return match parts {
            Some(parts) if (2..=4).contains(&parts.len()) => {
                let value = parts.iter().fold(0, |value, part| value << 8 | u32::from(*part));
                Ok(Token::Dotted(value, parts.len() as u32))
            }
            _ => Err(format!("`{word}` is no IPv4 address")),
        };
    }
    let digits = |prefix: &str, radix| word.strip_prefix(prefix).map(|digits| u32::from_str_radix(digits, radix));
    // As in C: 0x1f, 017, 15.
    let number = digits("0x", 16).or_else(|| digits("0X", 16));
    let number = number.or_else(|| if word.len() > 1 { digits("0", 8) } else { None });
    match number.unwrap_or_else(|| word.parse()) {
        Ok(number) if !word.contains(['+', '-']) => Ok(Token::Number(number)),
        _ if word.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'X')) => {
            Err(format!("`{word}` is no number of 32 bits"))
        }
        _ => Ok(Token::Word(word)),
    }
}
