//! Tantivy as a peer of the index benchmark.
//!
//! ```text
//! tantivy-peer index DIR < CORPUS   lines "number TAB words"; one thread, one segment in the end
//! tantivy-peer serve DIR            lines "COMMAND TAB QUERY", one answer a line
//! ```
//!
//! Tantivy's BM25 has k1 = 1.2 and b = 0.75 and no way to change them: its scores differ from those of the other engines,
//! its matches do not.

use std::error::Error;
use std::io::{self, BufRead, BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use tantivy::collector::{Count, TopDocs};
use tantivy::query::{Query, QueryParser};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions, Value, STORED};
use tantivy::{Index, ReloadPolicy, Searcher, TantivyDocument};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const BUFFER: usize = 512 << 20; // as every engine of the benchmark gets
const THREADS: usize = 1;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "index", dir] => index(Path::new(dir)),
        [_, "serve", dir] => serve(Path::new(dir)),
        _ => Err("usage: tantivy-peer index DIR | serve DIR".into()),
    }
}

fn schema() -> (Schema, Field, Field) {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("whitespace")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let mut builder = Schema::builder();
    let id = builder.add_u64_field("id", STORED);
    let body = builder.add_text_field("body", TextOptions::default().set_indexing_options(indexing));
    (builder.build(), id, body)
}

fn index(dir: &Path) -> Result<()> {
    let began = Instant::now();
    let (schema, id, body) = schema();
    let index = Index::create_in_dir(dir, schema)?;
    let mut writer = index.writer_with_num_threads(THREADS, BUFFER)?;
    let mut docs = 0u64;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (number, words) = line.split_once('\t').ok_or("no tab in a line of the corpus")?;
        let mut doc = TantivyDocument::default();
        doc.add_u64(id, number.parse()?);
        doc.add_text(body, words);
        writer.add_document(doc)?;
        docs += 1;
    }
    writer.commit()?;
    let added = began.elapsed().as_secs_f64();
    let segments = index.searchable_segment_ids()?;
    if segments.len() > 1 {
        writer.merge(&segments).wait()?;
    }
    writer.wait_merging_threads()?;
    let writer: tantivy::IndexWriter = index.writer_with_num_threads(THREADS, BUFFER)?;
    writer.garbage_collect_files().wait()?;
    let seconds = began.elapsed().as_secs_f64();
    if index.searchable_segment_ids()?.len() != 1 {
        return Err("more than one segment is left".into());
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        bytes += entry?.metadata()?.len();
    }
    println!("{{\"documents\":{docs},\"seconds\":{seconds:.3},\"add_seconds\":{added:.3},\"bytes\":{bytes}}}");
    Ok(())
}

fn serve(dir: &Path) -> Result<()> {
    let index = Index::open_in_dir(dir)?;
    let id = index.schema().get_field("id")?;
    let body = index.schema().get_field("body")?;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
    let searcher = reader.searcher();
    let parser = QueryParser::for_index(&index, vec![body]);
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let answer = match answer(&searcher, &parser, id, &line) {
            Ok(answer) => answer,
            Err(err) => {
                eprintln!("{line}: {err}");
                "UNSUPPORTED".to_string()
            }
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(searcher: &Searcher, parser: &QueryParser, id: Field, line: &str) -> Result<String> {
    let (command, text) = line.split_once('\t').unwrap_or((line, ""));
    if command == "NOOP" {
        return Ok("1".to_string());
    }
    let query = parser.parse_query(text)?;
    Ok(match command {
        "COUNT" => query.count(searcher)?.to_string(),
        "TOP_10" => top(searcher, &query, 10)?,
        "TOP_100" => top(searcher, &query, 100)?,
        "TOP_1000" => top(searcher, &query, 1000)?,
        "TOP_10_COUNT" => top_count(searcher, &query, 10)?,
        "TOP_100_COUNT" => top_count(searcher, &query, 100)?,
        "TOP_1000_COUNT" => top_count(searcher, &query, 1000)?,
        _ => match command.strip_prefix("DOCS_") {
            Some(k) => docs(searcher, &query, id, k.parse()?)?,
            None => "UNSUPPORTED".to_string(),
        },
    })
}

fn top(searcher: &Searcher, query: &dyn Query, k: usize) -> Result<String> {
    searcher.search(query, &TopDocs::with_limit(k).order_by_score())?;
    Ok("1".to_string())
}

fn top_count(searcher: &Searcher, query: &dyn Query, k: usize) -> Result<String> {
    let (_, count) = searcher.search(query, &(TopDocs::with_limit(k).order_by_score(), Count))?;
    Ok(count.to_string())
}

fn docs(searcher: &Searcher, query: &dyn Query, id: Field, k: usize) -> Result<String> {
    let mut pairs = Vec::new();
    for (score, address) in searcher.search(query, &TopDocs::with_limit(k).order_by_score())? {
        let doc: TantivyDocument = searcher.doc(address)?;
        let number = doc.get_first(id).and_then(|v| v.as_u64()).ok_or("document without number")?;
        pairs.push(format!("{number}:{score}"));
    }
    Ok(pairs.join(" "))
}
