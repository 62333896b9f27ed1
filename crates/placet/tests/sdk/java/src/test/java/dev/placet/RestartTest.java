package dev.placet;

import static com.microsoft.durabletask.OrchestrationRuntimeStatus.COMPLETED;
import static org.junit.jupiter.api.Assertions.assertEquals;

import com.microsoft.durabletask.OrchestrationMetadata;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The server is killed under a worker and a client, which find its successor by themselves. */
@Timeout(120)
final class RestartTest {
    @TempDir
    Path folder;

    @Test
    void whatRanWhenTheServerWasKilledGoesOnWithItsSuccessor() throws Exception {
        try (OwnServer server = new OwnServer(folder); TaskHub hub = new TaskHub(server.address())) {
            CountDownLatch running = new CountDownLatch(1);
            CountDownLatch restarted = new CountDownLatch(1);
            hub.orchestration("asks", ctx -> {
                int value = ctx.callActivity("slow", 20, Integer.class).await();
                value += ctx.waitForExternalEvent("more", Integer.class).await();
                ctx.complete(ctx.callActivity("slow", value, Integer.class).await());
            }).activity("slow", ctx -> {
                running.countDown();
                try {
                    restarted.await();
                } catch (InterruptedException interrupted) {
                    Thread.currentThread().interrupt();
                }
                return ctx.getInput(int.class) + 1;
            }).start();
            String id = hub.client.scheduleNewOrchestrationInstance("asks");
            running.await();
            server.kill();
            server.start();
            restarted.countDown();
            Waiting.until(() -> {
                try {
                    hub.client.raiseEvent(id, "more", 20);
                    return true;
                } catch (io.grpc.StatusRuntimeException notYet) {
                    return false;
                }
            });
            OrchestrationMetadata state = hub.end(id);
            assertEquals(COMPLETED, state.getRuntimeStatus());
            assertEquals(42, state.readOutputAs(int.class));
        }
    }
}
