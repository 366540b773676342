use std::{collections::BTreeMap, io, path::Path};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::{
    record::Timestamp,
    testing::{self, Effect},
};

fn no_files(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("big.bin") {
        Ok(vec![0, 1, 2])
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn parsed(text: &str) -> File {
    parse("t.case", text, &no_files).unwrap()
}

fn error(text: &str) -> String {
    parse("t.case", text, &no_files).unwrap_err().to_string()
}

/// Answers every record with itself in upper case, nonsense with a dead letter. Keeps the last word of each key, and
/// wants to shout again an hour later.
#[derive(Default)]
struct Shout {
    last: BTreeMap<Vec<u8>, (String, Timestamp)>,
}

impl Drive for Shout {
    fn send(&mut self, topic: &str, record: testing::Stimulus) -> Result<Vec<Effect>, String> {
        if topic != "words" {
            return Err(format!("no function reads `{topic}`"));
        }
        let text = record.value.as_deref().map(std::str::from_utf8);
        Ok(vec![match text {
            Some(Ok(text)) => {
                let key = record.key.clone().unwrap_or_default();
                self.last.insert(key, (text.to_owned(), record.timestamp));
                Effect::Out {
                    topic: "loud".into(),
                    partition: 0,
                    timestamp: record.timestamp,
                    key: record.key,
                    value: Some(text.to_uppercase().into()),
                    headers: record.headers,
                }
            }
            _ => Effect::Dead {
                function: "shout".into(),
                key: record.key,
                value: record.value,
                reason: "reject: not a text".into(),
            },
        }])
    }

    fn at(&mut self, at: Timestamp) -> Result<Vec<Effect>, String> {
        Ok(vec![Effect::Retry { function: "shout".into(), attempt: 1, reason: at.to_string() }])
    }

    fn restart(&mut self) -> Result<Vec<Effect>, String> {
        Ok(vec![Effect::Pause { function: "shout".into(), reason: "state: out of breath".into() }])
    }

    fn state(
        &mut self,
        store: &str,
        key: &[u8],
        part: Option<&At>,
    ) -> Result<Option<Vec<u8>>, String> {
        let last = self.last.get(key).map(|(word, _)| word.clone().into_bytes());
        match (store, part) {
            ("last", None) => Ok(last),
            ("words", Some(At::Window(start, end))) => {
                let is_in = |at: &Timestamp| start <= at && at < end;
                let word = self.last.get(key).filter(|(_, at)| is_in(at));
                Ok(word.map(|(word, _)| word.clone().into_bytes()))
            }
            ("letters", Some(At::Entry(letter))) => {
                let times =
                    last.unwrap_or_default().iter().filter(|byte| *letter == [**byte]).count();
                Ok((times > 0).then(|| times.to_string().into_bytes()))
            }
            _ => Err(format!("there is no store `{store}`")),
        }
    }

    fn row(&mut self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match table {
            "names" => Ok((key == b"ann").then(|| b"{\"name\":\"Ann\"}".to_vec())),
            _ => Err(format!("there is no table `{table}`")),
        }
    }

    fn timer(
        &mut self,
        function: &str,
        timer: &str,
        key: &[u8],
    ) -> Result<Option<Timestamp>, String> {
        match (function, timer) {
            ("shout", "again") => {
                Ok(self.last.get(key).map(|(_, at)| Timestamp(at.millis() + 3_600_000)))
            }
            _ => Err(format!("there is no timer `{function}.{timer}`")),
        }
    }
}

fn problems(text: &str) -> String {
    let file = parsed(text);
    let mut shown = String::new();
    for case in &file.cases {
        for problem in run(case, &mut Shout::default()).problems(case) {
            shown += &format!("FAIL t.case:{}  {}\n{problem}\n", problem.line(), problem.title());
        }
    }
    shown
}

const GOOD: &str = r#"# what shouting is
case words get loud, nonsense is a dead letter
given partitions 1
given date 2026-03-01
given state last bob "a word"
given state letters bob ["a b"] 2
given state letters bob ["a]"] {"a":[1, 2]}
given table names ann {"name":"Ann"}
in   words 10:00:00 ann hello {"a":1}
  + trace = abc
out  loud ann HELLO {"A":1}
in   words ann {"b":2,"a":1}

# field order does not matter
out  loud 10:00:00 ann {"A":1,"B":2}
  +
state last ann {"a":1, "b":2}
timer shout.again ann 11:00:00
table names ann {"name": "Ann"}
state letters ann [b] 1
state words ann [10:00:00,10:05:00) {"b":2,"a":1}
state words ann [09:00:00,2026-03-01T10:00:00Z] null
timer shout.again bob null
state last bob null
in   words +5m null hex:ff00
dead shout null hex:ff00
  ! reject: not a text
restart
pause shout ! state: out of breath
at   2026-03-01T11:00:00Z
table names bob null
retry shout 1 ! 1772362800000
"#;

#[test]
fn a_case_that_is_right_has_no_problem() {
    assert_eq!(problems(GOOD), "");
}

#[test]
fn what_differs_is_shown_below_its_stimulus() {
    let text = "case a\nin words 10:00:00 k one\n  + h = 1\nout loud k TWO\nin words k two\nin words k three\nout loud k THREE\nout \
                loud k MORE\nin nowhere k v\nrestart\n";
    assert_snapshot!(problems(text), @r"
    FAIL t.case:4  a
         in  words 10:00:00 k one
           + h = 1
       - out loud k TWO
       + out loud k ONE
    FAIL t.case:5  a
         in  words k two
       + out loud k TWO
    FAIL t.case:8  a
         in  words k three
         out loud k THREE
       - out loud k MORE
    FAIL t.case:9  a
         in  nowhere k v
       ! no function reads `nowhere`
    ");
}

#[test]
fn accept_rewrites_effects_and_nothing_else() {
    let text = "# about\ncase a\n\nin    words   10:00:00 k one   # part of the value\n  + h = 1\nout loud k TWO\n  # keep \
                me\nin words k two\n\nin words k three\nout   loud k like {\"a\":1}\nin words k {\"a\":1}\nout   loud k like \
                {\"A\":1}\nin words k hex:ff";
    let file = parsed(text);
    let ran: Vec<_> = file.cases.iter().map(|case| run(case, &mut Shout::default())).collect();
    let accepted = accept(text, &file, &ran);
    assert_snapshot!(accepted, @r#"
    # about
    case a

    in    words   10:00:00 k one   # part of the value
      + h = 1
    out loud k ONE   # PART OF THE VALUE
      # keep me
    in words k two
    out loud k TWO

    in words k three
    out loud k THREE
    in words k {"a":1}
    out   loud k like {"A":1}
    in words k hex:ff
    dead shout k hex:ff
      ! reject: not a text
    "#);
    assert_eq!(problems(&accepted), "");
}

#[test]
fn accepting_what_is_right_changes_nothing() {
    let file = parsed(GOOD);
    let ran: Vec<_> = file.cases.iter().map(|case| run(case, &mut Shout::default())).collect();
    assert_eq!(accept(GOOD, &file, &ran), GOOD);
}

#[test]
fn checks_stand_among_the_effects_and_are_rewritten_where_they_are() {
    let text = "case a\nin words 23:30:00 k one\nstate last   k two\nout loud k ONE\ntimer shout.again k +30m\n\
                state letters k [o]   7\n# stays\ntable names k {}\nin words k two\nstate letters k [w] 1\n";
    assert_snapshot!(problems(text), @r"
    FAIL t.case:3  a
         in  words 23:30:00 k one
       - state last k two
       + state last k one
         out loud k ONE
       - timer shout.again k +30m
       + timer shout.again k 2026-01-02T00:30:00Z
       - state letters k [o] 7
       + state letters k [o] 1
       - table names k {}
       + table names k null
    FAIL t.case:9  a
         in  words k two
       + out loud k TWO
         state letters k [w] 1
    ");
    let file = parsed(text);
    let ran: Vec<_> = file.cases.iter().map(|case| run(case, &mut Shout::default())).collect();
    let accepted = accept(text, &file, &ran);
    assert_snapshot!(accepted, @r"
    case a
    in words 23:30:00 k one
    state last k one
    out loud k ONE
    timer shout.again k 2026-01-02T00:30:00Z
    state letters k [o] 1
    # stays
    table names k null
    in words k two
    out loud k TWO
    state letters k [w] 1
    ");
    assert_eq!(problems(&accepted), "");
    assert_snapshot!(problems("case a\nin words k v\nout loud k V\nstate nothing k v\n"), @r"
    FAIL t.case:2  a
         in  words k v
       ! there is no store `nothing`
    ");
}

#[test]
fn errors_name_the_line_and_what_would_be_right() {
    let errors = [
        "in t k v",
        "case",
        "case a\nfoo",
        "case a\nin",
        "case a\nin t",
        "case a\nin t k",
        "case a\nin t 10:00:00 k",
        "case a\nin t/x k v",
        "case a\nin t k hex:0",
        "case a\nin t k base64:?",
        "case a\nin t k file:none.bin",
        "case a\nin t k json:nonsense",
        "case a\nin t k \"open",
        "case a\nat noon",
        "case a\nrestart now",
        "case a\nout t k v",
        "case a\nin t k v\ndead f k like {}",
        "case a\nin t k v\nout t k like {",
        "case a\nin t k v\nretry f 0",
        "case a\n  + h = 1",
        "case a\nin t k v\n  ! reason",
        "case a\nin t k v\nstate s k",
        "case a\nin t k v\nstate s null v",
        "case a\nin t k v\nstate s k [10:00:00,+5m) v",
        "case a\ngiven state s k [10:00:00,10:01:00) v",
        "case a\nin t k v\nstate s k [a b] v",
        "case a\nin t k v\nstate s k like {}",
        "case a\nin t k v\nlate s k like {}",
        "case a\nin t k v\ntimer due k null",
        "case a\nin t k v\ntimer watch.due k soon",
        "case a\nin t k v\npause f reason",
        "case a\ngiven table t k",
        "case a\ngiven state s k null",
        "case a\ngiven state s k [null] v",
        "case a\ngiven nothing",
        "case a\ngiven partitions 0",
        "case a\ngiven date today",
        "case a\ngiven config minimum 1",
        "case a\nin t k v\ngiven partitions 2",
        "case a\nin t k v\nstate s k v\n ! reason",
    ];
    let shown: Vec<_> = errors.iter().map(|text| error(text)).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    t.case:1: a case begins with `case TITLE`: there is none above
    t.case:1: the title is missing: say in a few words what the case shows
    t.case:2: `foo` is no word of a case: a line begins with case, given, in, at, restart, out, dead, late, retry, pause, state, table, timer, + or !
    t.case:2: the topic is missing
    t.case:2: the key is missing: write null for none
    t.case:2: the value is missing: write null for none, "" for empty (and a key that looks like a time in quotes)
    t.case:2: the value is missing: write null for none, "" for empty (and a key that looks like a time in quotes)
    t.case:2: `t/x` is no topic: write TOPIC or TOPIC/PARTITION, as orders/2
    t.case:2: `0` is not hex: write two digits a byte, as hex:00ff
    t.case:2: `?` is not base64
    t.case:2: cannot read `none.bin`: entity not found
    t.case:2: `nonsense` is not JSON: expected ident at line 1 column 2
    t.case:2: `"open` is no text in quotes: EOF while parsing a string at line 1 column 5
    t.case:2: `noon` is no time: write 10:00:00, 2026-01-02T10:00:00Z, +5m or 13 digits of milliseconds
    t.case:2: `now` is too much here
    t.case:2: `out` comes below the in, at or restart that causes it
    t.case:3: `like` is for out only: write the whole value
    t.case:3: `{` is not JSON: EOF while parsing an object at line 1 column 1
    t.case:3: `0`: write the attempt's number; the first is 1
    t.case:2: a header comes below the in or out that has it
    t.case:3: a reason (!) comes once, below the dead, retry or pause that has it
    t.case:3: the value is missing: write null for none, "" for empty (and a key that looks like a time in quotes)
    t.case:3: nothing is kept under the key null
    t.case:3: `[10:00:00,+5m)`: an entry ends with ] and a blank, as [tea]; quote a key that has either in it
    t.case:2: what a window has come to is not given but follows from records: write in
    t.case:3: `[a`: an entry ends with ] and a blank, as [tea]; quote a key that has either in it
    t.case:3: `like` is for out only: write the whole value
    t.case:3: `like` is for out only: write the whole value
    t.case:3: `due`: write FUNCTION.TIMER, as watch.due
    t.case:3: `soon` is no time: write 10:00:00, 2026-01-02T10:00:00Z, +5m or 13 digits of milliseconds
    t.case:3: `reason` is too much here
    t.case:2: the value is missing: write null for none, "" for empty (and a key that looks like a time in quotes)
    t.case:2: `null`: what is not given is not there, so leave the line out
    t.case:2: a map has no entry under null
    t.case:2: `given nothing`: write given state, given table, given config, given partitions or given date
    t.case:2: `0` partitions: write a number from 1 to 1000
    t.case:2: `today` is no date: write YYYY-MM-DD
    t.case:2: `minimum`: write FUNCTION.KEY, as hello.minimum
    t.case:3: `given` comes before the first in, at or restart of its case
    t.case:4: a reason (!) comes once, below the dead, retry or pause that has it
    "#);
}

#[test]
fn all_forms_of_values_are_read() {
    let value = |text: &str| {
        let file = parsed(&format!("case a\nin t k {text}"));
        let Stimulus::In(input) = &file.cases[0].steps[0].stimulus else { unreachable!() };
        input.value.bytes().map(<[u8]>::to_vec)
    };
    assert_eq!(value("null"), None);
    assert_eq!(value("hex:00fF"), Some(vec![0, 255]));
    assert_eq!(value("base64:AAE="), Some(vec![0, 1]));
    assert_eq!(value("file:big.bin"), Some(vec![0, 1, 2]));
    assert_eq!(value(r#""a\nb""#), Some(b"a\nb".to_vec()));
    assert_eq!(value(r#""""#), Some(vec![]));
    assert_eq!(value(r#""null""#), Some(b"null".to_vec()));
    assert_eq!(value(r#"json:"null""#), Some(br#""null""#.to_vec()));
    assert_eq!(value("two words "), Some(b"two words ".to_vec()));
    assert_eq!(value("http://x"), Some(b"http://x".to_vec()));
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        any::<String>().prop_map(String::into_bytes),
        prop::sample::select(vec![
            "",
            "null",
            "hex:0",
            "like {}",
            "{\"a\": 1}",
            "[",
            "10:00:00",
            "+5m",
            "\"",
            " a ",
            "#",
            "!",
            "[a]",
            "[a] b",
            "a]"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), bytes().prop_map(Value::Bytes)]
}

/// What is not null.
fn key() -> impl Strategy<Value = Value> {
    bytes().prop_map(Value::Bytes)
}

fn want() -> impl Strategy<Value = Want> {
    let like = "[a-z]{1,5}".prop_map(|name| {
        let json = serde_json::json!({ name: [1, null, { "a": "b" }] });
        Want::Like(json.to_string(), json)
    });
    prop_oneof![
        bytes().prop_map(|bytes| Want::of(Some(&bytes))),
        value().prop_map(Want::Exactly),
        like
    ]
}

fn time() -> impl Strategy<Value = Time> {
    prop_oneof![
        (0..24_i8, 0..60_i8, 0..60_i8, 0..1000_i32).prop_map(|(hour, minute, second, millis)| {
            Time::Clock(jiff::civil::time(hour, minute, second, millis * 1_000_000))
        }),
        (0..4_000_000_000_000_i64).prop_map(|at| Time::Instant(Timestamp(at))),
        (0..4_000_000_000_000_i64).prop_map(|at| Time::Millis(Timestamp(at))),
        (1..10_000_000_000_u64)
            .prop_map(|millis| Time::After(std::time::Duration::from_millis(millis))),
    ]
}

fn part() -> impl Strategy<Value = Part> {
    let point = || time().prop_filter("it is a point", |time| !matches!(time, Time::After(_)));
    let window = (point(), point(), any::<bool>());
    prop_oneof![
        key().prop_map(Part::Entry),
        (point(), point()).prop_map(|(start, end)| {
            Part::Entry(Value::Bytes(format!("{start},{end}").into_bytes()))
        }),
        window.prop_map(|(start, end, inclusive)| Part::Window { start, end, inclusive }),
    ]
}

fn headers() -> impl Strategy<Value = Vec<Named>> {
    let name = prop_oneof!["[a-z.-]{1,8}", any::<String>()];
    prop::collection::vec((name, value()).prop_map(|(name, value)| Named { name, value }), 0..3)
}

fn stimulus() -> impl Strategy<Value = Stimulus> {
    let input = (
        "[a-zA-Z0-9._-]{1,9}",
        any::<Option<u32>>(),
        prop::option::of(time()),
        value(),
        value(),
        headers(),
    );
    prop_oneof![
        input.prop_map(|(topic, partition, time, key, value, headers)| {
            Stimulus::In(Input { topic, partition, time, key, value, headers })
        }),
        time().prop_map(Stimulus::At),
        Just(Stimulus::Restart),
    ]
}

fn expected() -> impl Strategy<Value = Expected> {
    let out = (
        "[a-zA-Z0-9._-]{1,9}",
        any::<Option<u32>>(),
        prop::option::of(time()),
        value(),
        want(),
        prop::option::of(headers()),
    );
    let exact = value().prop_map(Want::Exactly);
    prop_oneof![
        out.prop_map(|(topic, partition, time, key, value, headers)| {
            Expected::Out { topic, partition, time, key, value, headers }
        }),
        ("[a-z_]{1,9}", value(), exact, any::<Option<String>>()).prop_map(
            |(function, key, value, reason)| Expected::Dead { function, key, value, reason }
        ),
        ("[a-z_]{1,9}", value(), value().prop_map(Want::Exactly))
            .prop_map(|(store, key, value)| Expected::Late { store, key, value }),
        ("[a-z_]{1,9}", 1..u32::MAX, any::<Option<String>>())
            .prop_map(|(function, attempt, reason)| Expected::Retry { function, attempt, reason }),
        ("[a-z_]{1,9}", any::<Option<String>>())
            .prop_map(|(function, reason)| Expected::Pause { function, reason }),
        ("[a-z_]{1,9}", key(), prop::option::of(part()), value().prop_map(Want::Exactly))
            .prop_map(|(store, key, part, value)| Expected::State { store, key, part, value }),
        ("[a-z_]{1,9}", key(), value().prop_map(Want::Exactly))
            .prop_map(|(table, key, value)| Expected::Table { table, key, value }),
        ("[a-z_]{1,9}", "[a-z_]{1,9}", key(), prop::option::of(time()))
            .prop_map(|(function, timer, key, due)| Expected::Timer { function, timer, key, due }),
    ]
}

type Parts = (String, Vec<Given>, Vec<(Stimulus, Vec<Expected>)>);

fn case() -> impl Strategy<Value = Parts> {
    let given = prop_oneof![
        (1..=1000_u32).prop_map(Given::Partitions),
        (1970..2100_i16, 1..=12_i8, 1..=28_i8)
            .prop_map(|(year, month, day)| Given::Date(jiff::civil::date(year, month, day))),
        ("[a-z_]{1,9}", "[a-z_]{1,9}", any::<Option<String>>()).prop_map(
            |(function, key, value)| Given::Config { function, key, value: value.into() }
        ),
        ("[a-z_]{1,9}", key(), prop::option::of(key()), key())
            .prop_map(|(store, key, entry, value)| Given::State { store, key, entry, value }),
        ("[a-z_]{1,9}", key(), value()).prop_map(|(table, key, value)| Given::Table {
            table,
            key,
            value
        }),
    ];
    let steps = prop::collection::vec((stimulus(), prop::collection::vec(expected(), 0..4)), 0..4);
    ("[a-z]{1,5}( [a-z,:#]{1,5}){0,3}", prop::collection::vec(given, 0..3), steps)
}

proptest! {
    #[test]
    fn what_is_printed_reads_back((title, given, steps) in case()) {
        let steps = steps.into_iter().map(|(stimulus, effects)| {
            let effects = effects.into_iter().map(|expected| model::Expectation { lines: 0..0, expected }).collect();
            Step { line: 0, effects_line: 0, stimulus, effects }
        }).collect();
        let case = Case { title, line: 1, given, steps };
        let text = case.to_string();
        let again = parse("t.case", &text, &no_files).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(again.cases.len(), 1);
        prop_assert_eq!(without_lines(&again.cases[0]), without_lines(&case), "{}", text);
    }

    #[test]
    fn no_text_panics(text in "(case|given|in|out|dead|retry|at|state|table|timer|pause|[+!\\[\\]#\"{]|\\PC{0,5}|[ \n]){0,40}") {
        let _ = parse("t.case", &text, &no_files);
    }
}

fn without_lines(case: &Case) -> Case {
    let mut case = case.clone();
    case.line = 0;
    for step in &mut case.steps {
        (step.line, step.effects_line) = (0, 0);
        step.effects.iter_mut().for_each(|effect| effect.lines = 0..0);
    }
    case
}
