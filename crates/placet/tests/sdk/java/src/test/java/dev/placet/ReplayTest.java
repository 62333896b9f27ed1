package dev.placet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.microsoft.durabletask.DurableTaskClient;
import com.microsoft.durabletask.OrchestrationMetadata;
import com.microsoft.durabletask.RetryPolicy;
import com.microsoft.durabletask.Task;
import com.microsoft.durabletask.TaskOptions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What an orchestration finds the same in every replay, and what its client sees of it meanwhile. */
@Timeout(120)
final class ReplayTest {
    private final TaskHub hub = new TaskHub();
    private final DurableTaskClient client = hub.client;

    @AfterEach
    void close() {
        hub.close();
    }

    @Test
    void onlyWhatIsNewIsNoReplay() throws Exception {
        hub.orchestration("looks", ctx -> {
            List<Boolean> replays = new ArrayList<>();
            for (int i = 0; i < 2; i++) {
                replays.add(ctx.getIsReplaying());
                ctx.createTimer(Duration.ZERO).await();
            }
            replays.add(ctx.getIsReplaying());
            ctx.complete(replays);
        }).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("looks"));
        assertEquals("[true,true,false]", state.getSerializedOutput());
    }

    @Test
    void theClockAndMadeIdsAreTheSameInEveryReplayAndGoOn() throws Exception {
        hub.orchestration("makes", ctx -> {
            Instant firstTime = ctx.getCurrentInstant();
            UUID firstId = ctx.newUUID();
            boolean same = firstTime.equals(ctx.callActivity("echo", firstTime, Instant.class).await());
            same &= firstId.equals(ctx.callActivity("echo", firstId, UUID.class).await());
            ctx.complete(same && !firstTime.equals(ctx.getCurrentInstant()) && !firstId.equals(ctx.newUUID()));
        }).activity("echo", ctx -> ctx.getInput(Object.class)).start();
        assertTrue(hub.end(client.scheduleNewOrchestrationInstance("makes")).readOutputAs(boolean.class));
    }

    @Test
    void theFirstOfSeveralIsEnoughAndOneThatIsTriedAgainComesInItsPlace() throws Exception {
        AtomicBoolean isFirst = new AtomicBoolean(true);
        TaskOptions twice = new TaskOptions(new RetryPolicy(2, Duration.ofMillis(50)));
        hub.orchestration("all", ctx -> {
            List<Task<Integer>> calls = new ArrayList<>();
            for (int i = 0; i < 6; i++) {
                calls.add(ctx.callActivity("flaky", i, twice, Integer.class));
            }
            ctx.complete(ctx.allOf(calls).await());
        }).orchestration("any", ctx -> {
            List<Task<?>> calls = new ArrayList<>(List.of(ctx.waitForExternalEvent("never", Integer.class)));
            calls.add(ctx.callActivity("flaky", 7, twice, Integer.class));
            ctx.complete(ctx.anyOf(calls).await().await());
        }).activity("flaky", ctx -> {
            if (isFirst.compareAndSet(true, false)) {
                throw new IllegalStateException("once");
            }
            return ctx.getInput(int.class);
        }).start();
        assertEquals("[0,1,2,3,4,5]", hub.end(client.scheduleNewOrchestrationInstance("all")).getSerializedOutput());
        assertEquals(7, hub.end(client.scheduleNewOrchestrationInstance("any")).readOutputAs(int.class));
    }

    @Test
    void aStatusMayBeAnythingThatAnEventBrings() throws Exception {
        hub.orchestration("shows", ctx -> {
            ctx.setCustomStatus("begun");
            ctx.setCustomStatus(ctx.waitForExternalEvent("status", Object.class).await());
        }).start();
        String id = client.scheduleNewOrchestrationInstance("shows");
        OrchestrationMetadata begun = client.waitForInstanceStart(id, TaskHub.PATIENCE, true);
        assertEquals("begun", begun.readCustomStatusAs(String.class));
        client.raiseEvent(id, "status", Map.of("answer", 42));
        assertEquals(Map.of("answer", 42), hub.end(id).readCustomStatusAs(Map.class));
    }

    @Test
    void anInstanceIsPendingUntilItsFirstTurnEnds() throws Exception {
        CountDownLatch mayEnd = new CountDownLatch(1);
        hub.orchestration("slow", ctx -> {
            try {
                mayEnd.await();
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }).start();
        String id = client.scheduleNewOrchestrationInstance("slow");
        assertThrows(TimeoutException.class, () -> client.waitForInstanceStart(id, Duration.ofSeconds(1)));
        mayEnd.countDown();
        client.waitForInstanceStart(id, TaskHub.PATIENCE);
    }
}
