package dev.placet;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;

/** A server of a test's own, which it kills and starts again on the same folder and port. */
final class OwnServer implements AutoCloseable {
    private final Path folder;
    private final String address;
    private Process process;

    OwnServer(Path folder) throws Exception {
        this.folder = folder;
        try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            address = "127.0.0.1:" + free.getLocalPort();
        }
        start();
    }

    String address() {
        return address;
    }

    void start() throws Exception {
        Path ready = folder.resolve("ready.json");
        Files.deleteIfExists(ready);
        process = new ProcessBuilder(System.getenv("PLACET_BIN"), "--data-dir", folder.resolve("data").toString(),
            "--grpc-addr", address, "--http-addr", "127.0.0.1:0", "--ready-file", ready.toString())
            .redirectErrorStream(true).redirectOutput(folder.resolve("placet.log").toFile()).start();
        Waiting.until(() -> {
            if (!process.isAlive()) {
                throw new IOException("the server ended: " + Files.readString(folder.resolve("placet.log")));
            }
            return Files.exists(ready);
        });
    }

    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
    }

    @Override
    public void close() throws Exception {
        kill();
    }
}
