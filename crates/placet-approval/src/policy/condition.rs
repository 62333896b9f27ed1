//! Conditions of a policy: CEL (the Common Expression Language) over the request, read once when the file is read and asked
//! once when a request begins.
//!
//! What a condition may say is narrowed where it is read, so that no request can keep one busy: one look over a list at
//! most, nothing that builds lists, texts or maps, and only functions that look at what is there. What it reads is known
//! then, too: a revision may not change it, since who is asked follows from it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::{Context, ExecutionError, Program};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::field::check_text;
use crate::request::NewRequest;

/// A condition is a line.
const CHARS_MAX: usize = 1_000;

/// A payload has so many values at most if a condition looks over lists: two lists looked over against each other are the
/// square of it, still milliseconds.
const VALUES_MAX: usize = 5_000;

/// Of what went wrong so much is told: it may hold a value of the request.
const FAULT_CHARS_MAX: usize = 200;

/// What a condition may read.
const NAMES: [&str; 7] = ["requester", "item", "category", "priority", "tags", "payload", "links"];

/// Functions that look at what is there.
const FUNCTIONS: [&str; 7] = ["size", "contains", "startsWith", "endsWith", "int", "double", "string"];

/// Operators and functions that say yes or no.
const BOOLEAN: [&str; 13] = [
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::IN,
    "contains",
    "startsWith",
    "endsWith",
];

/// The other operators that are taken; `@not_strictly_false` is what `all` and `exists` are made of.
const OTHERS: [&str; 8] = [
    operators::CONDITIONAL,
    operators::ADD,
    operators::SUBSTRACT,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::NEGATE,
    operators::INDEX,
    operators::NOT_STRICTLY_FALSE,
];

/// A condition, as it is written.
#[derive(Clone)]
pub(crate) struct Condition {
    text: String,
    program: Arc<Program>,
    /// What it reads, as JSON pointers into the request.
    reads: BTreeSet<String>,
    /// Whether it looks over lists.
    loops: bool,
}

impl Condition {
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Condition, String> {
        check_text("condition", text, CHARS_MAX).map_err(|error| error.remedy)?;
        let program = Program::compile(text).map_err(|errors| said(&errors.to_string()))?;
        let mut look = Look::default();
        look.over(program.expression())?;
        if !is_boolean(program.expression()) {
            return Err("must say yes or no: compare something, as in payload.amount > 1000".to_owned());
        }
        let Look { reads, loops, .. } = look;
        Ok(Condition { text: text.to_owned(), program: Arc::new(program), reads, loops })
    }

    /// What it reads, as JSON pointers into the request.
    pub(crate) fn reads(&self) -> &BTreeSet<String> {
        &self.reads
    }

    /// Whether it holds of a request.
    ///
    /// # Errors
    /// Why that cannot be said: never a silent no.
    pub(crate) fn holds(&self, facts: &Facts) -> Result<bool, String> {
        if self.loops && facts.values > VALUES_MAX {
            return Err(format!(
                "it looks over a list, and the payload has {} values: {VALUES_MAX} at most are taken then",
                facts.values
            ));
        }
        match self.program.execute(&facts.context) {
            Ok(cel::Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err("it says neither yes nor no".to_owned()),
            Err(ExecutionError::NoSuchOverload) => {
                Err("it takes values of different kinds together, a text and a number perhaps".to_owned())
            }
            Err(error) => Err(said(&error.to_string())),
        }
    }
}

/// The first line of what CEL says, without its own name for where.
fn said(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = line.strip_prefix("ERROR: <input>:").unwrap_or(line);
    line.chars().take(FAULT_CHARS_MAX).collect()
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({:?})", self.text)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Condition) -> bool {
        self.text == other.text
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Condition, D::Error> {
        let text = String::deserialize(deserializer)?;
        Condition::parse(&text).map_err(|why| de::Error::custom(format!("the condition {text:?}: {why}")))
    }
}

/// A request as conditions see it.
pub(crate) struct Facts {
    context: Context<'static>,
    values: usize,
}

impl Facts {
    pub(crate) fn of(asked: &NewRequest) -> Facts {
        let mut context = Context::default();
        let mut values = 0;
        let facts = [
            ("requester", json!(asked.requester)),
            ("item", json!(asked.item)),
            ("category", json!(asked.category.as_deref().unwrap_or_default())),
            ("priority", json!(asked.priority)),
            ("tags", json!(asked.tags)),
            ("links", json!(asked.links)),
            // Of a request without one `has(payload.amount)` is a no.
            ("payload", asked.payload.clone().unwrap_or_else(|| json!({}))),
        ];
        for (name, value) in facts {
            context.add_variable_from_value(name, value_of(value, &mut values));
        }
        Facts { context, values }
    }
}

/// JSON as CEL has it, a whole number as an `int`: what the crate makes of one that is not negative is a `uint`, to which no
/// `int` can be added.
fn value_of(json: Value, values: &mut usize) -> cel::Value {
    *values += 1;
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(is) => cel::Value::Bool(is),
        Value::String(text) => cel::Value::String(Arc::new(text)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => cel::Value::Int(whole),
            None => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::Array(list) => {
            let list: Vec<cel::Value> = list.into_iter().map(|value| value_of(value, values)).collect();
            cel::Value::List(Arc::new(list))
        }
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, value_of(value, values)));
            cel::Value::Map(members.collect::<HashMap<String, cel::Value>>().into())
        }
    }
}

/// What an expression is found to be made of.
#[derive(Default)]
struct Look {
    reads: BTreeSet<String>,
    loops: bool,
    /// Names that the loop gives.
    given: Vec<String>,
}

impl Look {
    fn over(&mut self, at: &IdedExpr) -> Result<(), String> {
        if let Some((root, path)) = path(at) {
            return self.reads(root, &path);
        }
        match &at.expr {
            Expr::Literal(_) => Ok(()),
            Expr::Select(select) => self.over(&select.operand),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.over(element)),
            Expr::Comprehension(looped) => self.over_list(looped),
            Expr::Ident(_) | Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err("compares values, texts and lists, and builds no others".to_owned())
            }
        }
    }

    fn reads(&mut self, root: &str, path: &[String]) -> Result<(), String> {
        if self.given.iter().any(|name| name == root) {
            return Ok(());
        }
        if !NAMES.contains(&root) {
            return Err(format!("there is no {root:?}: {} are there", NAMES.join(", ")));
        }
        let escaped = path.iter().map(|name| name.replace('~', "~0").replace('/', "~1"));
        self.reads.insert(escaped.fold(format!("/{root}"), |pointer, name| format!("{pointer}/{name}")));
        Ok(())
    }

    fn call(&mut self, call: &CallExpr) -> Result<(), String> {
        let name = call.func_name.as_str();
        if ![&BOOLEAN[..], &OTHERS[..], &FUNCTIONS[..]].iter().any(|list| list.contains(&name)) {
            return Err(format!("{name} is not taken: has, all, exists, exists_one, {} are", FUNCTIONS.join(", ")));
        }
        call.target.iter().map(|target| &**target).chain(&call.args).try_for_each(|part| self.over(part))
    }

    fn over_list(&mut self, looped: &ComprehensionExpr) -> Result<(), String> {
        if self.loops {
            return Err("looks over one list, and over no other within".to_owned());
        }
        if !matches!(looped.accu_init.expr, Expr::Literal(_)) {
            return Err("map and filter are not taken: use all, exists or exists_one".to_owned());
        }
        self.over(&looped.iter_range)?;
        self.loops = true;
        self.given = [&looped.iter_var, &looped.accu_var].into_iter().chain(&looped.iter_var2).cloned().collect();
        [&looped.loop_cond, &looped.loop_step, &looped.result].into_iter().try_for_each(|part| self.over(part))?;
        self.given.clear();
        Ok(())
    }
}

/// The name and the way from it that an expression spells: `payload.lines[0].sum`.
fn path(at: &IdedExpr) -> Option<(&str, Vec<String>)> {
    match &at.expr {
        Expr::Ident(name) => Some((name, Vec::new())),
        Expr::Select(select) => {
            let (root, mut path) = path(&select.operand)?;
            path.push(select.field.clone());
            Some((root, path))
        }
        Expr::Call(call) if call.func_name == operators::INDEX => {
            let [of, place] = call.args.as_slice() else { return None };
            let (root, mut path) = path(of)?;
            path.push(match &place.expr {
                Expr::Literal(LiteralValue::String(name)) => name.inner().to_owned(),
                Expr::Literal(LiteralValue::Int(place)) => place.inner().to_string(),
                _ => return None,
            });
            Some((root, path))
        }
        _ => None,
    }
}

/// Whether it may say yes or no: of what lies in the payload only the request shows.
fn is_boolean(at: &IdedExpr) -> bool {
    match &at.expr {
        Expr::Literal(literal) => matches!(literal, LiteralValue::Boolean(_)),
        Expr::Select(select) if select.test => true,
        Expr::Comprehension(_) => true,
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => call.args.iter().skip(1).all(is_boolean),
        Expr::Call(call) if BOOLEAN.contains(&call.func_name.as_str()) => true,
        _ => path(at).is_some_and(|(root, _)| root == "payload"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(payload: Value) -> Facts {
        let asked = json!({
            "requester": "ann", "item": "Deploy", "category": "change", "priority": "high", "tags": ["db"],
            "links": [{"url": "https://example.org"}], "payload": payload
        });
        Facts::of(&serde_json::from_value(asked).unwrap())
    }

    #[test]
    fn a_condition_holds_or_does_not_or_tells_why_that_cannot_be_said() {
        let table: [(&str, Result<bool, &str>); 24] = [
            ("payload.amount > 1000", Ok(true)),
            ("payload.amount > 1200.5", Ok(false)),
            ("payload.amount + 1 > 1200", Ok(true)),
            ("payload.rate < 1", Ok(true)),
            ("payload.rate * 2.0 >= 1.0", Ok(true)),
            ("double(payload.amount) * payload.rate > 599.9", Ok(true)),
            ("priority in ['high', 'critical'] && 'db' in tags", Ok(true)),
            ("links[0].url.startsWith('https://')", Ok(true)),
            ("item == 'Deploy' && requester != 'bob'", Ok(true)),
            ("payload.urgent", Ok(true)),
            ("payload['urgent']", Ok(true)),
            ("payload.urgent ? payload.amount > 5000 : payload.amount > 100", Ok(false)),
            ("size(payload.lines) == 2 && size(item) == 6", Ok(true)),
            ("payload.lines.exists(line, line.sum > 700)", Ok(true)),
            ("payload.lines.all(line, line.sum > 700)", Ok(false)),
            ("payload.lines.exists_one(line, line.sum == 500)", Ok(true)),
            ("has(payload.note)", Ok(false)),
            ("has(payload.note) && payload.note > 1", Ok(false)),
            ("!has(payload.note) || payload.note == 'x'", Ok(true)),
            ("payload.note == 'x'", Err("No such key: note")),
            ("payload.who > 1000", Err("values of different kinds")),
            ("payload.amount", Err("neither yes nor no")),
            ("payload.amount / 0 > 1", Err("zero")),
            ("payload.lines[7].sum > 1", Err("out of bounds")),
        ];
        let facts = facts(json!({
            "amount": 1200, "rate": 0.5, "urgent": true, "who": "ann", "lines": [{"sum": 500}, {"sum": 800}]
        }));
        for (text, holds) in table {
            let condition = Condition::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            match (condition.holds(&facts), holds) {
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                (is, is_to_be) => assert_eq!(is, is_to_be.map_err(str::to_owned), "{text}"),
            }
        }
    }

    #[test]
    fn what_is_no_condition_is_refused_where_it_is_read() {
        for (text, why) in [
            ("", "must not be empty"),
            ("payload.amount >", "1:"),
            ("payload.amount > 1000 and true", "1:"),
            ("paylod.amount > 1000", "there is no \"paylod\""),
            ("amount > 1000", "there is no \"amount\""),
            ("1 + 1", "must say yes or no"),
            ("'yes'", "must say yes or no"),
            ("size(payload.lines)", "must say yes or no"),
            ("requester", "must say yes or no"),
            ("payload.a ? 1 : 2", "must say yes or no"),
            ("payload.text.matches('a')", "matches is not taken"),
            ("launch(payload)", "launch is not taken"),
            ("payload == {'a': 1}", "builds no others"),
            ("payload.a.map(x, x + 1) == [2]", "map and filter are not taken"),
            ("payload.a.filter(x, x > 1) == [2]", "map and filter are not taken"),
            ("payload.a.all(x, payload.b.all(y, x < y))", "over no other within"),
            ("payload.a.all(x, true) && payload.b.all(x, true)", "over no other within"),
        ] {
            let said = Condition::parse(text).expect_err(text);
            assert!(said.contains(why), "{text}: {said}");
        }
        let long = format!("item == '{}'", "x".repeat(CHARS_MAX));
        assert!(Condition::parse(&long).unwrap_err().contains("1000 at most"));
        let deep = format!("{}true{}", "(".repeat(400), ")".repeat(400));
        assert!(Condition::parse(&deep).is_err());
    }

    #[test]
    fn what_it_reads_is_known() {
        for (text, reads) in [
            ("payload.amount > 1000 || has(payload.vat.rate)", &["/payload/amount", "/payload/vat/rate"][..]),
            ("payload['a/b'][0].c == 1", &["/payload/a~1b/0/c"]),
            ("payload.lines.exists(line, line.sum > payload.most)", &["/payload/lines", "/payload/most"]),
            ("payload[item] == 1", &["/item", "/payload"]),
            ("size(payload) > 3", &["/payload"]),
            ("true", &[]),
        ] {
            let reads: BTreeSet<String> = reads.iter().map(|pointer| (*pointer).to_owned()).collect();
            assert_eq!(*Condition::parse(text).unwrap().reads(), reads, "{text}");
        }
    }

    #[test]
    fn no_payload_keeps_a_condition_busy() {
        let list: Vec<u32> = (0..200_000).collect();
        let facts = facts(json!({"a": list, "b": list}));
        let looped = Condition::parse("payload.a.all(x, x in payload.b)").unwrap();
        assert!(looped.holds(&facts).unwrap_err().contains("5000 at most"));
        assert_eq!(Condition::parse("size(payload.a) == 200000").unwrap().holds(&facts), Ok(true));
        let (few, others): (Vec<u32>, Vec<u32>) = ((0..2_400).collect(), (2_400..4_800).rev().collect());
        let facts = self::facts(json!({"a": few, "b": others}));
        let square = Condition::parse("payload.a.all(x, !(x in payload.b))").unwrap();
        assert_eq!(square.holds(&facts), Ok(true));
    }

    proptest::proptest! {
        /// Anything that is nearly a condition, or is none.
        #[test]
        fn whatever_is_written_is_read_or_refused_and_asked_or_refused(
            text in proptest::prop_oneof![
                r#"((payload|item|tags|x)(\.[ab]|\[-?[0-9]{1,20}\]|\['[ab]'\]|\.size\(\)|\.contains\(item\)|\.all\(x, x)?( ?(>|<|==|&&|\|\||\+|-|\*|/|in|\?|:) ?|\)|,)?(1|-9223372036854775808|1e300|1u|'a'|true|null|\[1\])?){1,4}"#,
                "\\PC{0,40}",
            ],
        ) {
            if let Ok(condition) = Condition::parse(&text) {
                for payload in [json!({"a": [1, -1.5, "x"], "b": i64::MIN}), json!(null), json!([1, [2]])] {
                    drop(condition.holds(&facts(payload)));
                }
            }
        }
    }
}
