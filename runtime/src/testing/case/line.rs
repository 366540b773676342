//! The pieces of a line: words, keys, values, names.

use std::{io, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use winnow::{
    ModalResult, Parser,
    ascii::{digit1, space0},
    combinator::{eof, opt, preceded, terminated},
    token::{rest, take_till},
};

use super::{
    model::Part,
    time::Time,
    value::{Value, Want},
};

/// What is wrong with a line, in words.
pub(super) type Problem = String;

/// How `file:` values are read.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// The next word and the blanks behind it.
pub(super) fn word<'a>(line: &mut &'a str) -> Option<&'a str> {
    let parser: ModalResult<&str> =
        terminated(take_till(1.., [' ', '\t']), space0).parse_next(line);
    parser.ok()
}

/// The next word, or a problem that names what is missing.
pub(super) fn expect<'a>(line: &mut &'a str, what: &str) -> Result<&'a str, Problem> {
    word(line).ok_or_else(|| format!("{what} is missing"))
}

/// Nothing more.
pub(super) fn end(line: &str) -> Result<(), Problem> {
    let parser: ModalResult<&str> = terminated(space0, eof).parse_next(&mut { line });
    parser.map(drop).map_err(|_| format!("`{line}` is too much here"))
}

/// `TOPIC` or `TOPIC/PARTITION`.
pub(super) fn topic(line: &mut &str) -> Result<(String, Option<u32>), Problem> {
    let word = expect(line, "the topic")?;
    let mut rest_of = word;
    let parts: ModalResult<(&str, Option<&str>)> =
        (take_till(1.., '/'), opt(preceded('/', terminated(digit1, eof)))).parse_next(&mut rest_of);
    match parts {
        Ok((topic, partition)) if rest_of.is_empty() => {
            let partition = partition.map(str::parse).transpose();
            Ok((
                topic.to_owned(),
                partition.map_err(|_| format!("`{word}`: there is no such partition"))?,
            ))
        }
        _ => Err(format!("`{word}` is no topic: write TOPIC or TOPIC/PARTITION, as orders/2")),
    }
}

/// A TIME, where the next word has the shape of one.
pub(super) fn optional_time(line: &mut &str) -> Option<Time> {
    let before = *line;
    let time = word(line).and_then(Time::parse);
    if time.is_none() {
        *line = before;
    }
    time
}

/// A JSON string in quotes, as a word or a name may be.
fn quoted(line: &mut &str) -> Result<String, Problem> {
    let mut strings = serde_json::Deserializer::from_str(line).into_iter::<String>();
    let text = match strings.next() {
        Some(Ok(text)) => text,
        Some(Err(error)) => return Err(format!("`{line}` is no text in quotes: {error}")),
        None => return Err("a text in quotes is missing".into()),
    };
    *line = &line[strings.byte_offset()..];
    Ok(text)
}

/// A KEY: one token.
pub(super) fn key(line: &mut &str, files: ReadFile<'_>) -> Result<Value, Problem> {
    if line.starts_with('"') {
        let text = quoted(line)?;
        if !line.is_empty() && !line.starts_with([' ', '\t']) {
            return Err(format!("a blank is missing before `{line}`"));
        }
        *line = line.trim_start_matches([' ', '\t']);
        return Ok(Value::Bytes(text.into_bytes()));
    }
    let token = word(line).ok_or("the key is missing: write null for none")?;
    form(token, files)
}

/// An entry of a map or a window in brackets, where the next word is one and a value follows. Brackets that are JSON are a
/// value.
pub(super) fn part(line: &mut &str, files: ReadFile<'_>) -> Result<Option<Part>, Problem> {
    let mut behind = *line;
    let Some(token) = word(&mut behind).filter(|token| token.starts_with('[')) else {
        return Ok(None);
    };
    if serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() || behind.is_empty() {
        return Ok(None);
    }
    let inside = token.trim_start_matches('[');
    if let Some(inside) = inside.strip_suffix([']', ')'])
        && let Some((start, end)) = Time::parse_window(inside)
    {
        let inclusive = token.ends_with(']');
        *line = behind;
        return Ok(Some(Part::Window { start, end, inclusive }));
    }
    // The key is read as any other, up to the bracket behind it.
    let mut rest_of = &line[1..];
    let key = if rest_of.starts_with('"') {
        Value::Bytes(quoted(&mut rest_of)?.into_bytes())
    } else {
        let parser: ModalResult<&str> = take_till(1.., [']', ' ', '\t']).parse_next(&mut rest_of);
        form(parser.map_err(|_| format!("`{token}`: write the entry's key, as [tea]"))?, files)?
    };
    let Some(rest_of) =
        rest_of.strip_prefix(']').filter(|rest_of| rest_of.starts_with([' ', '\t']))
    else {
        return Err(format!(
            "`{token}`: an entry ends with ] and a blank, as [tea]; quote a key that has either in it"
        ));
    };
    *line = rest_of.trim_start_matches([' ', '\t']);
    match key {
        Value::Null => Err("a map has no entry under null".into()),
        key => Ok(Some(Part::Entry(key))),
    }
}

/// A VALUE: the rest of the line.
pub(super) fn value(line: &mut &str, files: ReadFile<'_>) -> Result<Value, Problem> {
    let parser: ModalResult<&str> = rest.parse_next(line);
    let text = parser.unwrap_or_default();
    if text.is_empty() {
        return Err("the value is missing: write null for none, \"\" for empty (and a key that looks like a time \
                    in quotes)"
            .into());
    }
    form(text, files)
}

/// A VALUE that is compared with; `like` where that is allowed.
pub(super) fn want(
    line: &mut &str,
    files: ReadFile<'_>,
    may_be_like: bool,
) -> Result<Want, Problem> {
    let text = *line;
    if let Some(fields) = text.strip_prefix("like ").or_else(|| text.strip_prefix("like\t")) {
        if !may_be_like {
            return Err("`like` is for out only: write the whole value".into());
        }
        let fields = fields.trim();
        let parsed = serde_json::from_str(fields)
            .map_err(|error| format!("`{fields}` is not JSON: {error}"))?;
        *line = "";
        return Ok(Want::Like(fields.to_owned(), parsed));
    }
    if text.starts_with(['{', '['])
        && let Ok(parsed) = serde_json::from_str(text)
    {
        *line = "";
        return Ok(Want::Json(text.to_owned(), parsed));
    }
    value(line, files).map(Want::Exactly)
}

/// A text as bytes: verbatim, or in one of the forms that begin with a word.
fn form(text: &str, files: ReadFile<'_>) -> Result<Value, Problem> {
    if text == "null" {
        return Ok(Value::Null);
    }
    if text.starts_with('"') {
        let mut line = text;
        let text = quoted(&mut line)?;
        end(line)?;
        return Ok(Value::Bytes(text.into_bytes()));
    }
    let Some((form, content)) = text.split_once(':') else { return Ok(Value::Bytes(text.into())) };
    match form {
        "hex" => hex(content.trim_end()).map(Value::Bytes),
        "base64" => match STANDARD.decode(content.trim_end()) {
            Ok(bytes) => Ok(Value::Bytes(bytes)),
            Err(_) => Err(format!("`{content}` is not base64")),
        },
        "json" => match serde_json::from_str::<serde_json::Value>(content) {
            Ok(_) => Ok(Value::Bytes(content.trim().into())),
            Err(error) => Err(format!("`{content}` is not JSON: {error}")),
        },
        "file" => {
            let name = content.trim_end();
            let bytes =
                files(Path::new(name)).map_err(|error| format!("cannot read `{name}`: {error}"))?;
            Ok(Value::File { name: name.to_owned(), bytes })
        }
        _ => Ok(Value::Bytes(text.into())),
    }
}

fn hex(digits: &str) -> Result<Vec<u8>, Problem> {
    let wrong = || format!("`{digits}` is not hex: write two digits a byte, as hex:00ff");
    let digits_of = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => {
            Some((char::from(*high).to_digit(16)? << 4) | char::from(*low).to_digit(16)?)
        }
        _ => None,
    });
    digits_of.map(|byte| byte.and_then(|byte| u8::try_from(byte).ok()).ok_or_else(wrong)).collect()
}

/// The name of a header, up to `=` or the end.
pub(super) fn name(line: &mut &str) -> Result<String, Problem> {
    if line.starts_with('"') {
        return quoted(line);
    }
    let parser: ModalResult<&str> = take_till(1.., [' ', '\t', '=']).parse_next(line);
    parser.map(str::to_owned).map_err(|_| "the header's name is missing".into())
}

/// The text of a reason: verbatim, or in quotes.
pub(super) fn text(line: &str) -> Result<String, Problem> {
    let line = line.trim();
    if line.starts_with('"') {
        let mut left = line;
        let text = quoted(&mut left)?;
        end(left)?;
        return Ok(text);
    }
    Ok(line.to_owned())
}
