//! Three sets of Rust from the two `.proto` files: the messages (`placet-proto`), the server stubs
//! (`placet-scheduler`) and the client stubs (`placet-sdk`). Stubs are apart from the messages so that
//! the core can name a message without linking tonic.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use prost::Message as _;
use prost_build::Config;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

const MESSAGES: &str = "crates/placet-proto/src/generated";
const SERVER: &str = "crates/placet-scheduler/src/grpc/generated";
const CLIENT: &str = "crates/placet-sdk/src/generated";

const DURABLE_TASK: &str = "durabletask/orchestrator_service.proto";
const PLACET: &str = "placet/v1/placet.proto";

/// What prost-build calls the file of the package without a name.
const NO_PACKAGE: &str = "durabletask";

/// File by path from the workspace's root.
type Files = BTreeMap<PathBuf, Vec<u8>>;

pub(super) fn generate(check: bool) -> Result<()> {
    let files = generated()?;
    if check {
        return compare(&files);
    }
    for (path, content) in &files {
        let path = crate::root().join(path);
        fs::create_dir_all(path.parent().expect("a file lies in a directory"))?;
        fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn compare(files: &Files) -> Result<()> {
    let is_stale =
        |(path, content): &(&PathBuf, &Vec<u8>)| fs::read(crate::root().join(path)).ok().as_ref() != Some(*content);
    let stale: Vec<String> = files.iter().filter(is_stale).map(|(path, _)| format!("  {}", path.display())).collect();
    if !stale.is_empty() {
        bail!("out of date, run `cargo xtask codegen`:\n{}", stale.join("\n"));
    }
    Ok(())
}

fn generated() -> Result<Files> {
    let descriptors = protox::compile([DURABLE_TASK, PLACET], [crate::root().join("proto")])?;
    let mut files = Files::new();
    messages(&descriptors, &mut files)?;
    stubs(&descriptors, Stubs::Server, &mut files)?;
    stubs(&descriptors, Stubs::Client, &mut files)?;
    files.insert(Path::new(MESSAGES).join("descriptor.bin"), without_sources(descriptors));
    Ok(files)
}

/// Two runs, since the package without a name would otherwise be taken for the root of the crate.
fn messages(descriptors: &FileDescriptorSet, files: &mut Files) -> Result<()> {
    let durabletask = compile(messages_config(), descriptors)?;
    let mut config = messages_config();
    for (name, rust) in types(file(descriptors, DURABLE_TASK)?, "crate::durabletask") {
        config.extern_path(name, rust);
    }
    let placet = compile(config, descriptors)?;
    files.insert(Path::new(MESSAGES).join("durabletask.rs"), headed(&durabletask["durabletask.rs"], DURABLE_TASK));
    files.insert(Path::new(MESSAGES).join("placet.v1.rs"), headed(&placet["placet.v1.rs"], PLACET));
    Ok(())
}

fn messages_config() -> Config {
    let mut config = Config::new();
    // One message has one encoding, in every run of the simulator too: maps are ordered.
    config.bytes(["."]).btree_map(["."]);
    config
}

#[derive(Clone, Copy, PartialEq)]
enum Stubs {
    Server,
    Client,
}

fn stubs(descriptors: &FileDescriptorSet, stubs: Stubs, files: &mut Files) -> Result<()> {
    let durabletask = types(file(descriptors, DURABLE_TASK)?, "::placet_proto::durabletask");
    let placet = types(file(descriptors, PLACET)?, "::placet_proto::placet::v1");
    let mut config = Config::new();
    for (name, rust) in durabletask.into_iter().chain(placet) {
        config.extern_path(name, rust);
    }
    config.service_generator(
        tonic_prost_build::configure()
            .build_server(stubs == Stubs::Server)
            .build_client(stubs == Stubs::Client)
            .build_transport(false)
            .service_generator(),
    );
    let sources = compile(config, descriptors)?;
    let directory = Path::new(if stubs == Stubs::Server { SERVER } else { CLIENT });
    files.insert(directory.join("durabletask.rs"), headed(&sources["durabletask.rs"], DURABLE_TASK));
    files.insert(directory.join("placet.rs"), headed(&sources["placet.v1.rs"], PLACET));
    Ok(())
}

/// Runs prost-build: each file that it makes, by name.
fn compile(mut config: Config, descriptors: &FileDescriptorSet) -> Result<BTreeMap<String, String>> {
    let directory = tempfile::tempdir()?;
    config.out_dir(directory.path()).default_package_filename(NO_PACKAGE).compile_fds(descriptors.clone())?;
    let mut sources = BTreeMap::new();
    for entry in fs::read_dir(directory.path())? {
        let entry = entry?;
        sources.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    Ok(sources)
}

fn file<'a>(descriptors: &'a FileDescriptorSet, name: &str) -> Result<&'a FileDescriptorProto> {
    descriptors.file.iter().find(|file| file.name() == name).with_context(|| format!("no descriptor of {name}"))
}

/// The messages and enums of a file: the name in the protocol, and the path under `module` in Rust.
///
/// prost-build takes no path for the package without a name, hence one for each type.
fn types(file: &FileDescriptorProto, module: &str) -> Vec<(String, String)> {
    let package = if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
    let messages = file.message_type.iter().map(|message| message.name());
    let enums = file.enum_type.iter().map(|declared| declared.name());
    messages.chain(enums).map(|name| (format!("{package}.{name}"), format!("{module}::{name}"))).collect()
}

/// In place of prost-build's own first line.
fn headed(source: &str, proto: &str) -> Vec<u8> {
    let body = source.strip_prefix("// This file is @generated by prost-build.\n").unwrap_or(source);
    format!("// @generated by `cargo xtask codegen` from proto/{proto}; do not edit.\n\n{body}").into_bytes()
}

/// For gRPC reflection, which has no use for comments.
fn without_sources(mut descriptors: FileDescriptorSet) -> Vec<u8> {
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    descriptors.encode_to_vec()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_lies_in_the_crates_is_what_would_be_generated() {
        super::generate(true).unwrap();
    }
}
