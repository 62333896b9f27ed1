//! Messages of every type that the protocol has, as their descriptors say: what a fuzzer's bytes choose of them. A call
//! that is added to the protocol is fuzzed without anybody's doing.

use std::collections::HashMap;
use std::sync::OnceLock;

use placet_core::fuzzing::Source;
use placet_proto::DESCRIPTOR_SET;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Messages within messages, at most.
const DEPTH_MAX: usize = 6;

/// All messages and methods.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// By their full names, with a dot before.
    messages: HashMap<String, DescriptorProto>,
    pub(super) methods: Vec<Method>,
}

/// A method of a service.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) path: String,
    input: String,
    /// Whether it takes any number of messages.
    pub(super) takes_many: bool,
    /// Whether it answers with any number.
    pub(super) gives_many: bool,
}

impl Schema {
    pub(super) fn get() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| {
            let files = FileDescriptorSet::decode(DESCRIPTOR_SET).expect("it is generated");
            let mut schema = Schema::default();
            for file in files.file {
                let package = file.package.filter(|package| !package.is_empty());
                let scope = package.as_ref().map_or(String::new(), |package| format!(".{package}"));
                file.message_type.into_iter().for_each(|message| schema.learn(&scope, message));
                for service in file.service {
                    let service_name = format!("{scope}.{}", service.name.unwrap_or_default());
                    schema.methods.extend(service.method.into_iter().map(|method| Method {
                        path: format!("/{}/{}", &service_name[1..], method.name.unwrap_or_default()),
                        input: method.input_type.unwrap_or_default(),
                        takes_many: method.client_streaming.unwrap_or(false),
                        gives_many: method.server_streaming.unwrap_or(false),
                    }));
                }
            }
            schema
        })
    }

    fn learn(&mut self, scope: &str, mut message: DescriptorProto) {
        let name = format!("{scope}.{}", message.name.as_deref().unwrap_or_default());
        for nested in std::mem::take(&mut message.nested_type) {
            self.learn(&name, nested);
        }
        self.messages.insert(name, message);
    }

    /// A message that this method takes, encoded. `words` says what its texts say, by the names of their fields.
    pub(super) fn input(&self, method: &Method, source: &mut Source<'_>, words: &dyn Words) -> Vec<u8> {
        let mut message = Vec::new();
        self.message(&method.input, source, words, 0, &mut message);
        message
    }

    fn message(&self, name: &str, source: &mut Source<'_>, words: &dyn Words, depth: usize, into: &mut Vec<u8>) {
        let Some(message) = self.messages.get(name).filter(|_| depth < DEPTH_MAX) else { return };
        // Of each group of fields that exclude each other, one is chosen, or none.
        let chosen: Vec<usize> = (0..message.oneof_decl.len())
            .map(|oneof| {
                let fields = message.field.iter().filter(|field| field.oneof_index == i32::try_from(oneof).ok());
                usize::from(source.byte()) % (fields.count() + 1)
            })
            .collect();
        let mut seen = vec![0; chosen.len()];
        for field in &message.field {
            let times = match field.oneof_index.and_then(|oneof| usize::try_from(oneof).ok()) {
                Some(oneof) => {
                    seen[oneof] += 1;
                    u8::from(seen[oneof] == chosen[oneof])
                }
                None if field.label() == Label::Repeated => source.byte() % 4,
                None => u8::from(!source.byte().is_multiple_of(4)),
            };
            (0..times).for_each(|_| self.field(field, source, words, depth, into));
        }
    }

    fn field(
        &self,
        field: &FieldDescriptorProto,
        source: &mut Source<'_>,
        words: &dyn Words,
        depth: usize,
        into: &mut Vec<u8>,
    ) {
        let tag = u32::try_from(field.number()).expect("fields have numbers");
        match field.r#type() {
            Type::Double | Type::Fixed64 | Type::Sfixed64 => {
                encode_key(tag, WireType::SixtyFourBit, into);
                into.extend_from_slice(&source.number().to_le_bytes());
            }
            Type::Float | Type::Fixed32 | Type::Sfixed32 => {
                encode_key(tag, WireType::ThirtyTwoBit, into);
                into.extend_from_slice(&source.small().to_le_bytes());
            }
            Type::String => delimited(tag, words.text(field.name(), source).as_bytes(), into),
            Type::Bytes => delimited(tag, source.bytes(), into),
            Type::Message | Type::Group => {
                let mut inner = Vec::new();
                self.message(field.type_name(), source, words, depth + 1, &mut inner);
                delimited(tag, &inner, into);
            }
            _ => {
                encode_key(tag, WireType::Varint, into);
                encode_varint(source.number().cast_unsigned(), into);
            }
        }
    }
}

/// What texts say.
pub(super) trait Words {
    /// What stands in the field of this name.
    fn text(&self, field: &str, source: &mut Source<'_>) -> String;
}

fn delimited(tag: u32, bytes: &[u8], into: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, into);
    encode_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}
