//! `placet audit`: the record is checked, exported and signed.

mod check;
mod lines;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use placet_core::chain::{Entry, Said};
use placet_core::ids::{InstanceId, PartitionId};
use placet_scheduler::hub_of;
use placet_scheduler::record::{Checkpoint, NoteKey};
use placet_sdk::record::ChainedEntry;
use placet_sdk::{Client, Code};
use tempfile::NamedTempFile;

use super::{make_call, refused, say, with_client};
use crate::exit::Failure;
use crate::flags::audit::{self, Audit, AuditCommand, Export, Verify};
use check::{Check, Found};
use lines::{Line, VERSION};

pub(super) fn run(flags: &Audit) -> Result<(), Failure> {
    match &flags.command {
        AuditCommand::Verify(flags) => verify(flags),
        AuditCommand::Export(flags) => export(flags),
        AuditCommand::Checkpoint(flags) => checkpoint(flags),
    }
}

fn checkpoint(flags: &audit::Checkpoint) -> Result<(), Failure> {
    let hub = &flags.of.taskhub;
    let told = make_call(&flags.of.endpoint.endpoint, None, async |client| {
        let client = client.with_hub(hub);
        if flags.anew { client.checkpoint_anew().await } else { client.checkpoint().await }
    })?;
    say(if flags.key { &told.key } else { told.note.trim_end() });
    Ok(())
}

fn export(flags: &Export) -> Result<(), Failure> {
    let to = flags.output.as_deref();
    let mut stdout = std::io::stdout();
    let unwritable = |error: std::io::Error| Failure::system(to.map_or("-".into(), Path::to_string_lossy), error);
    // An earlier one stays until this one is whole; and it is for its user's eyes.
    let beside = |path: &Path| match path.parent() {
        Some(folder) if folder != Path::new("") => NamedTempFile::new_in(folder),
        _ => NamedTempFile::new_in("."),
    };
    let mut file = to.map(beside).transpose().map_err(unwritable)?;
    let mut out: BufWriter<&mut dyn Write> = match &mut file {
        Some(file) => BufWriter::new(file),
        None => BufWriter::new(&mut stdout),
    };
    let mut write = |line: &Line| {
        serde_json::to_writer(&mut out, line).map_err(std::io::Error::from).and_then(|()| out.write_all(b"\n"))
    };
    with_client(&flags.of.endpoint.endpoint, async |client| {
        let client = client.with_hub(&flags.of.taskhub);
        // First, so that all that it signs is in the file.
        let signed = client.checkpoint().await.map_err(refused)?;
        write(&Line::Title { placet_record: VERSION, hub: client.hub().to_owned() }).map_err(unwritable)?;
        let heads = Checkpoint::of_note(&signed.note).ok_or_else(|| unreadable("the server told no checkpoint"))?.heads;
        each_entry(&client, |entry| {
            // What came in meanwhile is for the next export.
            if heads.get(&entry.partition).is_none_or(|head| entry.number > head.number) {
                return Ok(());
            }
            let line = Line::of(&entry).ok_or_else(|| unreadable("an entry is no text"))?;
            write(&line).map_err(unwritable)
        })
        .await?;
        write(&Line::Signed { checkpoint: signed.note, key: signed.key }).map_err(unwritable)
    })??;
    out.flush().map_err(unwritable)?;
    drop(out);
    if let (Some(file), Some(path)) = (file, to) {
        file.as_file().sync_all().map_err(unwritable)?;
        file.persist(path).map_err(|error| unwritable(error.error))?;
    }
    Ok(())
}

/// Goes along all chains of a hub.
pub(super) async fn each_entry(
    client: &Client,
    mut see: impl FnMut(Entry) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for partition in 0..=u8::MAX {
        let mut after = 0;
        loop {
            let page = client.chain(partition, after).await.map_err(refused)?;
            let Some(last) = page.value.entries.last() else { break };
            after = last.number;
            for entry in &page.value.entries {
                see(entry_of(entry).ok_or_else(|| unreadable("an entry that is none"))?)?;
            }
        }
    }
    Ok(())
}

fn entry_of(entry: &ChainedEntry) -> Option<Entry> {
    let partition = PartitionId(u8::try_from(entry.partition).ok()?);
    let said = Said::try_from(entry.said.clone()?).ok()?;
    let (link, owner) = (entry.link[..].try_into().ok()?, InstanceId::new(entry.instance_id.as_str()));
    Some(Entry { partition, number: entry.number, link, owner, said })
}

fn unreadable(what: &str) -> Failure {
    Failure::Data { what: what.to_owned() }
}

fn verify(flags: &Verify) -> Result<(), Failure> {
    let key = flags.key.as_deref().map(str::parse::<NoteKey>).transpose();
    let key = key.map_err(|error| Failure::Flag { flag: "--key", what: error.to_string() })?;
    let kept = |path: &std::path::PathBuf| std::fs::read_to_string(path).map_err(|error| unread(path, &error));
    let kept = flags.checkpoint.iter().map(kept).collect::<Result<Vec<_>, _>>()?;
    let (found, by) = match flags.file.as_deref() {
        Some(path) => verify_export(path, &kept, key)?,
        None => with_client(&flags.of.endpoint.endpoint, async |client| {
            verify_live(&client.with_hub(&flags.of.taskhub), &kept, key).await
        })??,
    };
    let is_believed = flags.key.is_none();
    tell(&found, by.as_ref(), is_believed)
}

async fn verify_live(
    client: &Client,
    kept: &[String],
    key: Option<NoteKey>,
) -> Result<(Found, Option<NoteKey>), Failure> {
    let hub = hub_of(client.hub()).map_err(|error| Failure::Flag { flag: "--taskhub", what: error.to_string() })?;
    let mut check = Check::new(hub);
    let (note, its_key) = match client.checkpoint().await {
        Ok(signed) => (Some(signed.note), signed.key.parse().ok()),
        // The server knows that something is wrong; what that is, the entries tell.
        Err(error) if error.code == Code::DataLoss => {
            check.is_bad(error.message);
            (None, None)
        }
        Err(error) => return Err(refused(error)),
    };
    let key = key.or(its_key);
    if let Some(key) = &key {
        kept.iter().chain(&note).for_each(|note| check.expect(note, key));
    }
    each_entry(client, |entry| {
        check.entry(&entry);
        Ok(())
    })
    .await?;
    Ok((check.end(), key))
}

/// Reads it twice: its checkpoint is its last line, and is to be known first.
fn verify_export(path: &Path, kept: &[String], key: Option<NoteKey>) -> Result<(Found, Option<NoteKey>), Failure> {
    let text = if path == Path::new("-") {
        std::io::read_to_string(std::io::stdin()).map_err(|error| unread(path, &error))?
    } else {
        String::new()
    };
    let lines = || -> Result<Box<dyn BufRead + '_>, Failure> {
        if path == Path::new("-") {
            return Ok(Box::new(text.as_bytes()));
        }
        Ok(Box::new(BufReader::new(File::open(path).map_err(|error| unread(path, &error))?)))
    };
    let (mut hub, mut signed) = (None, None);
    each_line(path, lines()?, |number, line| match line {
        Line::Title { placet_record: VERSION, hub: name } if number == 1 => {
            hub = Some(hub_of(&name).map_err(|error| error.to_string())?);
            Ok(())
        }
        Line::Title { placet_record, .. } if number == 1 => Err(format!(
            "is of version {placet_record} of the format, and this binary knows version {VERSION}: use a newer one"
        )),
        _ if signed.is_some() => Err("an export ends with its checkpoint".to_owned()),
        Line::Signed { checkpoint, key } => {
            signed = Some((checkpoint, key));
            Ok(())
        }
        Line::Entry { .. } if hub.is_some() => Ok(()),
        Line::Title { .. } | Line::Entry { .. } => Err("an export begins with its hub, which stands once".to_owned()),
    })?;
    let wrong = |what: &str| Failure::Data { what: format!("{}: {what}", path.display()) };
    let hub = hub.ok_or_else(|| wrong("is empty"))?;
    let (note, its_key) = signed.ok_or_else(|| wrong("has no checkpoint at its end: it was cut off"))?;
    let key = key.map_or_else(|| its_key.parse(), Ok).map_err(|_| wrong("tells a key that is none"))?;
    let mut check = Check::new(hub).closed();
    kept.iter().chain([&note]).for_each(|note| check.expect(note, &key));
    each_line(path, lines()?, |_, line| {
        if let Line::Entry { partition, number, link, instance, parts } = line {
            let entry = lines::entry(partition, number, &link, instance, &parts);
            check.entry(&entry.ok_or("a salt or a hash has other digits than it must")?);
        }
        Ok(())
    })?;
    Ok((check.end(), Some(key)))
}

fn each_line(
    path: &Path,
    lines: impl BufRead,
    mut see: impl FnMut(usize, Line) -> Result<(), String>,
) -> Result<(), Failure> {
    for (at, line) in lines.lines().enumerate() {
        let line = line.map_err(|error| unread(path, &error))?;
        if line.trim().is_empty() {
            continue;
        }
        let read = serde_json::from_str(&line).map_err(|_| "is no line of an export".to_owned());
        let seen = read.and_then(|line| see(at + 1, line));
        seen.map_err(|what| Failure::Data { what: format!("{}, line {}: {what}", path.display(), at + 1) })?;
    }
    Ok(())
}

fn count(many: u64, one: &str, several: &str) -> String {
    format!("{many} {}", if many == 1 { one } else { several })
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Data { what: format!("{}: {error}", path.display()) }
}

/// Says what was found.
fn tell(found: &Found, key: Option<&NoteKey>, is_believed: bool) -> Result<(), Failure> {
    let Found { hub, entries, chains, checkpoints, unsigned, bad } = found;
    if !bad.is_empty() {
        return Err(Failure::Refused(format!("the record of hub {hub} is not as it was written:\n{}", bad.join("\n"))));
    }
    let (entries, chains) = (count(*entries, "entry", "entries"), count(*chains as u64, "chain", "chains"));
    let signed = count(*checkpoints, "checkpoint", "checkpoints");
    say(&format!("hub {hub}: {entries} in {chains}, all as they were written, held against {signed} of the hub"));
    if *unsigned > 0 {
        say(&format!("  {} came in since the last of them", count(*unsigned, "entry", "entries")));
    }
    let said = if is_believed { " (believed; --key says whose it must be)" } else { "" };
    if let Some(key) = key {
        say(&format!("  signed by {key}{said}"));
    }
    Ok(())
}
