import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.core.WhitespaceTokenizer;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.FieldType;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.index.CodecReader;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexOptions;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.StoredFields;
import org.apache.lucene.misc.index.BPIndexReorderer;
import org.apache.lucene.queryparser.classic.QueryParser;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TopDocs;
import org.apache.lucene.search.TopScoreDocCollectorManager;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.MMapDirectory;

/**
 * Lucene as a peer of the index benchmark.
 *
 * <pre>
 * Peer index DIR &lt; CORPUS      lines "number TAB words"; one thread, one segment in the end
 * Peer reorder FROM DIR        the same documents ordered by recursive graph bisection
 * Peer serve DIR               lines "COMMAND TAB QUERY", one answer a line
 * </pre>
 */
public final class Peer {
  private static final String BODY = "body";
  private static final String ID = "id";
  private static final double BUFFER_MB = 512; // as every engine of the benchmark gets
  private static final int SEGMENTS = 1;

  private final IndexSearcher searcher;
  private final QueryParser parser;

  private Peer(Path dir) throws IOException {
    searcher = new IndexSearcher(DirectoryReader.open(new MMapDirectory(dir)));
    searcher.setQueryCache(null); // the same query again and again would be answered from it
    searcher.setSimilarity(similarity());
    parser = new QueryParser(BODY, analyzer());
  }

  public static void main(String[] args) throws Exception {
    if (args.length == 2 && args[0].equals("index")) {
      index(Path.of(args[1]));
    } else if (args.length == 3 && args[0].equals("reorder")) {
      reorder(Path.of(args[1]), Path.of(args[2]));
    } else if (args.length == 2 && args[0].equals("serve")) {
      new Peer(Path.of(args[1])).serve();
    } else {
      System.err.println("usage: Peer index DIR | reorder FROM DIR | serve DIR");
      System.exit(2);
    }
  }

  private static BM25Similarity similarity() {
    return new BM25Similarity(0.9f, 0.4f);
  }

  private static Analyzer analyzer() {
    return new Analyzer() {
      @Override
      protected TokenStreamComponents createComponents(String field) {
        return new TokenStreamComponents(new WhitespaceTokenizer());
      }
    };
  }

  private static IndexWriterConfig config() {
    return new IndexWriterConfig(analyzer()).setSimilarity(similarity()).setRAMBufferSizeMB(BUFFER_MB).setUseCompoundFile(false);
  }

  private static void index(Path dir) throws IOException {
    long began = System.nanoTime();
    FieldType type = new FieldType();
    type.setIndexOptions(IndexOptions.DOCS_AND_FREQS_AND_POSITIONS);
    type.setTokenized(true);
    type.freeze();
    Field body = new Field(BODY, "", type);
    StoredField id = new StoredField(ID, 0);
    Document doc = new Document();
    doc.add(id);
    doc.add(body);
    int docs = 0;
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
    try (IndexWriter w = new IndexWriter(new MMapDirectory(dir), config())) {
      for (String line; (line = in.readLine()) != null; docs++) {
        int tab = line.indexOf('\t');
        id.setIntValue(Integer.parseInt(line, 0, tab, 10));
        body.setStringValue(line.substring(tab + 1));
        w.addDocument(doc);
      }
      w.commit();
      double added = seconds(began);
      w.forceMerge(SEGMENTS);
      w.commit();
      report(dir, docs, seconds(began), added);
    }
  }

  private static void reorder(Path from, Path dir) throws IOException {
    long began = System.nanoTime();
    try (Directory source = new MMapDirectory(from);
        Directory target = new MMapDirectory(dir);
        DirectoryReader reader = DirectoryReader.open(source)) {
      if (reader.leaves().size() != SEGMENTS) {
        throw new IOException(from + " has " + reader.leaves().size() + " segments");
      }
      BPIndexReorderer reorderer = new BPIndexReorderer();
      reorderer.setFields(Set.of(BODY));
      reorderer.setRAMBudgetMB(4 * BUFFER_MB);
      CodecReader ordered = reorderer.reorder((CodecReader) reader.leaves().get(0).reader(), target, null);
      try (IndexWriter w = new IndexWriter(target, config())) {
        w.addIndexes(ordered);
        w.forceMerge(SEGMENTS);
        w.commit();
      }
      report(dir, reader.numDocs(), seconds(began), 0);
    }
  }

  private static double seconds(long began) {
    return (System.nanoTime() - began) / 1e9;
  }

  private static void report(Path dir, int docs, double seconds, double added) throws IOException {
    long bytes = 0;
    try (Stream<Path> files = Files.list(dir)) {
      for (Path p : files.toList()) {
        bytes += Files.size(p);
      }
    }
    System.out.printf("{\"documents\":%d,\"seconds\":%.3f,\"add_seconds\":%.3f,\"bytes\":%d}%n", docs, seconds, added, bytes);
  }

  private void serve() throws IOException {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    for (String line; (line = in.readLine()) != null; ) {
      String answer;
      try {
        answer = answer(line);
      } catch (Exception e) {
        System.err.println(line + ": " + e);
        answer = "UNSUPPORTED";
      }
      out.print(answer + "\n");
      out.flush();
    }
  }

  private String answer(String line) throws Exception {
    int tab = line.indexOf('\t');
    String command = tab < 0 ? line : line.substring(0, tab);
    if (command.equals("NOOP")) {
      return "1";
    }
    Query query = parser.parse(line.substring(tab + 1));
    switch (command) {
      case "COUNT":
        return Integer.toString(searcher.count(query));
      case "TOP_10":
      case "TOP_100":
      case "TOP_1000":
        top(query, Integer.parseInt(command.substring("TOP_".length())), 1);
        return "1";
      case "TOP_10_COUNT":
      case "TOP_100_COUNT":
      case "TOP_1000_COUNT":
        int k = Integer.parseInt(command.substring("TOP_".length(), command.lastIndexOf('_')));
        return Long.toString(top(query, k, Integer.MAX_VALUE).totalHits.value());
      default:
        return command.startsWith("DOCS_") ? docs(query, Integer.parseInt(command.substring("DOCS_".length()))) : "UNSUPPORTED";
    }
  }

  /** Counts exactly up to the threshold; beyond it, what cannot be among the best is skipped. */
  private TopDocs top(Query query, int k, int threshold) throws IOException {
    return searcher.search(query, new TopScoreDocCollectorManager(k, null, threshold));
  }

  private String docs(Query query, int k) throws IOException {
    StringBuilder b = new StringBuilder();
    StoredFields stored = searcher.storedFields();
    for (ScoreDoc d : top(query, k, 1).scoreDocs) {
      if (b.length() > 0) {
        b.append(' ');
      }
      b.append(stored.document(d.doc).getField(ID).numericValue()).append(':').append(d.score);
    }
    return b.toString();
  }
}
