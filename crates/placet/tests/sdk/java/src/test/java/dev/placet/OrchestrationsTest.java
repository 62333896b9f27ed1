package dev.placet;

import static com.microsoft.durabletask.OrchestrationRuntimeStatus.COMPLETED;
import static com.microsoft.durabletask.OrchestrationRuntimeStatus.FAILED;
import static com.microsoft.durabletask.OrchestrationRuntimeStatus.PENDING;
import static com.microsoft.durabletask.OrchestrationRuntimeStatus.RUNNING;
import static com.microsoft.durabletask.OrchestrationRuntimeStatus.SUSPENDED;
import static com.microsoft.durabletask.OrchestrationRuntimeStatus.TERMINATED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.microsoft.durabletask.CompositeTaskFailedException;
import com.microsoft.durabletask.DurableTaskClient;
import com.microsoft.durabletask.NewOrchestrationInstanceOptions;
import com.microsoft.durabletask.OrchestrationMetadata;
import com.microsoft.durabletask.OrchestrationStatusQuery;
import com.microsoft.durabletask.PurgeInstanceCriteria;
import com.microsoft.durabletask.RetryPolicy;
import com.microsoft.durabletask.Task;
import com.microsoft.durabletask.TaskCanceledException;
import com.microsoft.durabletask.TaskFailedException;
import com.microsoft.durabletask.TaskOptions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What an orchestration may do, through Microsoft's SDK for Java. */
@Timeout(120)
final class OrchestrationsTest {
    private final TaskHub hub = new TaskHub();
    private final DurableTaskClient client = hub.client;

    @AfterEach
    void close() {
        hub.close();
    }

    @Test
    void anEmptyOrchestrationEnds() throws Exception {
        hub.orchestration("empty", ctx -> { }).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("empty"));
        assertEquals(COMPLETED, state.getRuntimeStatus());
        assertFalse(state.getLastUpdatedAt().isBefore(state.getCreatedAt()));
    }

    @Test
    void activitiesAreCalledOneAfterTheOther() throws Exception {
        hub.orchestration("chain", ctx -> {
            int value = ctx.getInput(int.class);
            for (int i = 0; i < 10; i++) {
                value = ctx.callActivity("plus", value, Integer.class).await();
            }
            ctx.complete(value);
        }).activity("plus", ctx -> ctx.getInput(int.class) + 1).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("chain", 0));
        assertEquals(10, state.readOutputAs(int.class));
        assertEquals(0, state.readInputAs(int.class));
    }

    @Test
    void activitiesAreCalledAtOnceAndComeBackInTheirOrder() throws Exception {
        int width = 200;
        hub.orchestration("fan", ctx -> {
            List<Task<String>> calls = IntStream.range(0, width)
                .mapToObj(i -> ctx.callActivity("text", i, String.class)).collect(Collectors.toList());
            ctx.complete(String.join(",", ctx.allOf(calls).await()));
        }).activity("text", ctx -> ctx.getInput(int.class).toString()).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("fan"));
        String wanted = IntStream.range(0, width).mapToObj(Integer::toString).collect(Collectors.joining(","));
        assertEquals(wanted, state.readOutputAs(String.class));
    }

    @Test
    void aFailedActivityIsTriedAgainAsOftenAsItsPolicySays() throws Exception {
        AtomicInteger runs = new AtomicInteger();
        hub.orchestration("retries", ctx -> {
            TaskOptions options = new TaskOptions(new RetryPolicy(ctx.getInput(int.class), Duration.ofMillis(10)));
            ctx.complete(ctx.callActivity("flaky", null, options, String.class).await());
        }).activity("flaky", ctx -> {
            if (runs.incrementAndGet() < 3) {
                throw new IllegalStateException("not yet");
            }
            return "at last";
        }).start();
        OrchestrationMetadata failed = hub.end(client.scheduleNewOrchestrationInstance("retries", 2));
        assertEquals(FAILED, failed.getRuntimeStatus());
        assertTrue(failed.getFailureDetails().getErrorMessage().contains("not yet"), failed::toString);
        assertEquals(2, runs.get());
        runs.set(0);
        OrchestrationMetadata done = hub.end(client.scheduleNewOrchestrationInstance("retries", 3));
        assertEquals("at last", done.readOutputAs(String.class));
    }

    @Test
    void anExceptionOfTheCodeFailsItsInstanceWithItsTypeAndMessage() throws Exception {
        hub.orchestration("broken", ctx -> {
            throw new IllegalArgumentException("Kah-BOOOOM!!!");
        }).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("broken"));
        assertEquals(FAILED, state.getRuntimeStatus());
        assertEquals(IllegalArgumentException.class.getName(), state.getFailureDetails().getErrorType());
        assertEquals("Kah-BOOOOM!!!", state.getFailureDetails().getErrorMessage());
    }

    @Test
    void severalFailuresAreToldTogether() throws Exception {
        hub.orchestration("several", ctx -> {
            List<Task<Void>> calls = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                calls.add(ctx.callActivity("fails", i, Void.class));
            }
            try {
                ctx.allOf(calls).await();
            } catch (CompositeTaskFailedException several) {
                ctx.complete(several.getExceptions().size());
            }
        }).activity("fails", ctx -> {
            throw new IllegalStateException("number " + ctx.getInput(int.class));
        }).start();
        assertEquals(3, hub.end(client.scheduleNewOrchestrationInstance("several")).readOutputAs(int.class));
    }

    @Test
    void aTimerFiresInItsTimeAndALongOneInParts() throws Exception {
        hub.orchestration("naps", ctx -> {
            Instant begun = ctx.getCurrentInstant();
            ctx.createTimer(Duration.ofSeconds(2)).await();
            ctx.complete(Duration.between(begun, ctx.getCurrentInstant()).toMillis());
        }).start();
        long took = hub.end(client.scheduleNewOrchestrationInstance("naps")).readOutputAs(long.class);
        assertTrue(took >= 2_000 && took < 10_000, took + " ms");
    }

    @Test
    void eventsComeInTheirOrderAlsoThoseThatCameEarly() throws Exception {
        hub.orchestration("events", ctx -> {
            List<Integer> came = new ArrayList<>();
            ctx.createTimer(Duration.ofMillis(500)).await();
            for (int i = 0; i < 5; i++) {
                came.add(ctx.waitForExternalEvent("Number", int.class).await());
            }
            ctx.complete(came);
        }).start();
        String id = client.scheduleNewOrchestrationInstance("events");
        for (int i = 0; i < 5; i++) {
            client.raiseEvent(id, "number", i);
        }
        assertEquals("[0,1,2,3,4]", hub.end(id).getSerializedOutput());
    }

    @Test
    void anEventThatDoesNotComeIsGivenUp() throws Exception {
        hub.orchestration("patience", ctx -> {
            try {
                ctx.complete(ctx.waitForExternalEvent("word", Duration.ofSeconds(1), String.class).await());
            } catch (TaskCanceledException none) {
                ctx.complete("none");
            }
        }).start();
        assertEquals("none", hub.end(client.scheduleNewOrchestrationInstance("patience")).readOutputAs(String.class));
        String id = client.scheduleNewOrchestrationInstance("patience");
        client.raiseEvent(id, "word", "here");
        assertEquals("here", hub.end(id).readOutputAs(String.class));
    }

    @Test
    void aChildsResultAndItsFailureReachItsParent() throws Exception {
        hub.orchestration("parent", ctx -> {
            int doubled = ctx.callSubOrchestrator("child", 21, Integer.class).await();
            try {
                ctx.callSubOrchestrator("child", -1, Integer.class).await();
            } catch (TaskFailedException failed) {
                ctx.complete(doubled + ": " + failed.getErrorDetails().getErrorMessage());
            }
        }).orchestration("child", ctx -> {
            int input = ctx.getInput(int.class);
            if (input < 0) {
                throw new IllegalArgumentException("it is negative");
            }
            ctx.complete(2 * input);
        }).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("parent"));
        assertTrue(state.readOutputAs(String.class).startsWith("42: "), state::toString);
        assertTrue(state.readOutputAs(String.class).contains("it is negative"), state::toString);
    }

    @Test
    void aGenerationFollowsAnotherWithTheEventsThatItDidNotTake() throws Exception {
        hub.orchestration("gather", ctx -> {
            int seen = ctx.getInput(int.class);
            ctx.waitForExternalEvent("tick").await();
            if (seen == 9) {
                ctx.complete(seen + 1);
            } else {
                ctx.continueAsNew(seen + 1, true);
            }
        }).start();
        String id = client.scheduleNewOrchestrationInstance("gather", 0);
        for (int i = 0; i < 10; i++) {
            client.raiseEvent(id, "tick");
        }
        assertEquals(10, hub.end(id).readOutputAs(int.class));
    }

    @Test
    void whatIsSuspendedWaitsUntilItIsResumed() throws Exception {
        hub.orchestration("word", ctx -> ctx.complete(ctx.waitForExternalEvent("word", String.class).await())).start();
        String id = client.scheduleNewOrchestrationInstance("word");
        client.waitForInstanceStart(id, TaskHub.PATIENCE);
        client.suspendInstance(id, "for a while");
        Waiting.until(() -> client.getInstanceMetadata(id, false).getRuntimeStatus() == SUSPENDED);
        client.raiseEvent(id, "word", "later");
        assertThrows(TimeoutException.class, () -> client.waitForInstanceCompletion(id, Duration.ofSeconds(2), false));
        client.resumeInstance(id);
        assertEquals("later", hub.end(id).readOutputAs(String.class));
    }

    @Test
    void anInstanceIsTerminatedWithAnOutput() throws Exception {
        hub.orchestration("for-ever", ctx -> ctx.createTimer(Duration.ofDays(1)).await()).start();
        String id = client.scheduleNewOrchestrationInstance("for-ever");
        client.waitForInstanceStart(id, TaskHub.PATIENCE);
        client.terminate(id, "enough");
        OrchestrationMetadata state = hub.end(id);
        assertEquals(TERMINATED, state.getRuntimeStatus());
        assertEquals("enough", state.readOutputAs(String.class));
    }

    @Test
    void aStartMayBeForLater() throws Exception {
        hub.orchestration("empty", ctx -> { }).start();
        NewOrchestrationInstanceOptions options = new NewOrchestrationInstanceOptions()
            .setInstanceId("later").setStartTime(Instant.now().plusSeconds(3));
        String id = client.scheduleNewOrchestrationInstance("empty", options);
        assertEquals(PENDING, client.getInstanceMetadata(id, false).getRuntimeStatus());
        assertEquals(COMPLETED, hub.end(id).getRuntimeStatus());
    }

    @Test
    void theCustomStatusIsShownWhileItRunsAndCleared() throws Exception {
        hub.orchestration("tells", ctx -> {
            ctx.setCustomStatus("begun");
            ctx.waitForExternalEvent("go").await();
            ctx.clearCustomStatus();
        }).start();
        String id = client.scheduleNewOrchestrationInstance("tells");
        Waiting.until(() -> "begun".equals(client.getInstanceMetadata(id, true).readCustomStatusAs(String.class)));
        client.raiseEvent(id, "go");
        assertNull(hub.end(id).readCustomStatusAs(String.class));
    }

    @Test
    void oneInstanceSendsAnotherAnEvent() throws Exception {
        hub.orchestration("hears", ctx -> ctx.complete(ctx.waitForExternalEvent("word", String.class).await()))
            .orchestration("tells", ctx -> {
                ctx.sendEvent(ctx.getInput(String.class), "word", "hello");
                // This SDK waits for the event's confirmation otherwise, which it does not know.
                ctx.complete(null);
            }).start();
        String id = client.scheduleNewOrchestrationInstance("hears");
        hub.end(client.scheduleNewOrchestrationInstance("tells", id));
        assertEquals("hello", hub.end(id).readOutputAs(String.class));
    }

    @Test
    void instancesAreListedPageByPageByTheirStatusAndTheirTime() throws Exception {
        hub.orchestration("empty", ctx -> { })
            .orchestration("waits", ctx -> ctx.waitForExternalEvent("never").await()).start();
        Instant begun = Instant.now();
        List<String> ended = new ArrayList<>();
        for (int i = 0; i < 7; i++) {
            ended.add(client.scheduleNewOrchestrationInstance("empty", i, "listed-" + i));
        }
        String open = client.scheduleNewOrchestrationInstance("waits");
        for (String id : ended) {
            hub.end(id);
        }
        client.waitForInstanceStart(open, TaskHub.PATIENCE);
        OrchestrationStatusQuery query = new OrchestrationStatusQuery()
            .setRuntimeStatusList(List.of(COMPLETED)).setCreatedTimeFrom(begun.minusSeconds(60)).setMaxInstanceCount(3)
            .setFetchInputsAndOutputs(true);
        List<String> found = new ArrayList<>();
        String token = null;
        do {
            var page = client.queryInstances(query.setContinuationToken(token));
            assertTrue(page.getOrchestrationState().size() <= 3);
            page.getOrchestrationState().forEach(state -> found.add(state.getInstanceId()));
            token = page.getContinuationToken();
        } while (token != null && !token.isEmpty());
        assertEquals(ended, found.stream().sorted().collect(Collectors.toList()));
        var running = client.queryInstances(new OrchestrationStatusQuery().setRuntimeStatusList(List.of(RUNNING)));
        assertEquals(1, running.getOrchestrationState().size());
        var prefixed = client.queryInstances(new OrchestrationStatusQuery().setInstanceIdPrefix("listed-"));
        assertEquals(7, prefixed.getOrchestrationState().size());
    }

    @Test
    void whatHasEndedIsPurgedByIdAndByFilter() throws Exception {
        hub.orchestration("empty", ctx -> { })
            .orchestration("waits", ctx -> ctx.waitForExternalEvent("never").await()).start();
        Instant begun = Instant.now().minusSeconds(60);
        String one = client.scheduleNewOrchestrationInstance("empty");
        hub.end(one);
        assertEquals(1, client.purgeInstance(one).getDeletedInstanceCount());
        assertFalse(client.getInstanceMetadata(one, false).isInstanceFound());
        assertEquals(0, client.purgeInstance(one).getDeletedInstanceCount());
        String open = client.scheduleNewOrchestrationInstance("waits");
        client.waitForInstanceStart(open, TaskHub.PATIENCE);
        assertEquals(0, client.purgeInstance(open).getDeletedInstanceCount());
        for (int i = 0; i < 4; i++) {
            hub.end(client.scheduleNewOrchestrationInstance("empty"));
        }
        PurgeInstanceCriteria criteria = new PurgeInstanceCriteria().setCreatedTimeFrom(begun)
            .setRuntimeStatusList(List.of(COMPLETED)).setTimeout(Duration.ofSeconds(30));
        assertEquals(4, client.purgeInstances(criteria).getDeletedInstanceCount());
        assertTrue(client.getInstanceMetadata(open, false).isInstanceFound());
    }

    @Test
    void anInstanceIsRestartedUnderItsIdAndUnderANewOne() throws Exception {
        hub.orchestration("echo", ctx -> ctx.complete(ctx.getInput(String.class))).start();
        String id = client.scheduleNewOrchestrationInstance("echo", "again");
        hub.end(id);
        assertEquals(id, client.restartInstance(id, false));
        assertEquals("again", hub.end(id).readOutputAs(String.class));
        String another = client.restartInstance(id, true);
        assertNotEquals(id, another);
        assertEquals("again", hub.end(another).readOutputAs(String.class));
    }

    @Test
    void waitingEndsWithItsTime() {
        String id = client.scheduleNewOrchestrationInstance("nobody-runs-it");
        assertThrows(TimeoutException.class, () -> client.waitForInstanceStart(id, Duration.ofSeconds(1)));
    }

    @Test
    void inputsOfAMebibyteComeThrough() throws Exception {
        String long_ = "x".repeat(1 << 20);
        hub.orchestration("long", ctx -> {
            List<Task<Integer>> calls = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                calls.add(ctx.callActivity("length", long_, Integer.class));
            }
            ctx.complete(ctx.allOf(calls).await().stream().mapToInt(Integer::intValue).sum());
        }).activity("length", ctx -> ctx.getInput(String.class).length()).start();
        assertEquals(3 << 20, hub.end(client.scheduleNewOrchestrationInstance("long")).readOutputAs(int.class));
    }

    @Test
    void aTurnThatIsLongerThanTheWorkerTakesFailsAndTheWorkerGoesOn() throws Exception {
        hub.orchestration("gathers", ctx -> ctx.complete(ctx.waitForExternalEvent("said", String.class).await().length()))
            .orchestration("neighbour", ctx -> ctx.complete(7))
            .start();
        String threeMebibytes = "x".repeat(3 << 20);
        String id = client.scheduleNewOrchestrationInstance("gathers", threeMebibytes);
        client.waitForInstanceStart(id, TaskHub.PATIENCE);
        client.raiseEvent(id, "said", threeMebibytes);
        OrchestrationMetadata state = hub.end(id);
        assertEquals(FAILED, state.getRuntimeStatus());
        assertEquals("WorkItemTooLong", state.getFailureDetails().getErrorType());
        assertEquals(7, hub.end(client.scheduleNewOrchestrationInstance("neighbour")).readOutputAs(int.class));
    }
}
