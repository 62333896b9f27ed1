package dev.placet;

import static com.microsoft.durabletask.OrchestrationRuntimeStatus.FAILED;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.microsoft.durabletask.CompositeTaskFailedException;
import com.microsoft.durabletask.DurableTaskClient;
import com.microsoft.durabletask.FailureDetails;
import com.microsoft.durabletask.OrchestrationMetadata;
import com.microsoft.durabletask.RetryHandler;
import com.microsoft.durabletask.RetryPolicy;
import com.microsoft.durabletask.TaskFailedException;
import com.microsoft.durabletask.TaskOptions;
import com.microsoft.durabletask.TaskOrchestration;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Failures, through Microsoft's SDK for Java: which one is told, how often it was tried, and what is refused. */
@Timeout(120)
final class FailuresTest {
    private final TaskHub hub = new TaskHub();
    private final DurableTaskClient client = hub.client;
    private final AtomicInteger runs = new AtomicInteger();
    private final AtomicInteger decisions = new AtomicInteger();

    @AfterEach
    void close() {
        hub.close();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 10})
    void anActivityIsTriedAsOftenAsItsPolicySaysAndTheLastFailureIsTold(int attempts) throws Exception {
        TaskOptions options = policy(attempts);
        // Between two attempts is a timer, which has a number, too.
        fails(ctx -> ctx.callActivity("activity", null, options).await(), attempts, "activity", 2 * attempts - 2);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 10})
    void aChildIsTriedAsOftenAsItsPolicySaysAndTheLastFailureIsTold(int attempts) throws Exception {
        TaskOptions options = policy(attempts);
        int last = 2 * attempts - 2;
        fails(ctx -> ctx.callSubOrchestrator("child", null, null, options).await(), attempts, "child", last);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 10})
    void codeDecidesOncePerFailureWhetherAnActivityIsTriedAgain(int attempts) throws Exception {
        TaskOptions options = new TaskOptions(upTo(attempts));
        fails(ctx -> ctx.callActivity("activity", null, options).await(), attempts, "activity", attempts - 1);
        assertEquals(attempts, decisions.get());
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 10})
    void codeDecidesOncePerFailureWhetherAChildIsTriedAgain(int attempts) throws Exception {
        TaskOptions options = new TaskOptions(upTo(attempts));
        fails(ctx -> ctx.callSubOrchestrator("child", null, null, options).await(), attempts, "child", attempts - 1);
        assertEquals(attempts, decisions.get());
    }

    @Test
    void severalFailuresThatNobodyHandlesAreOne() throws Exception {
        hub.orchestration("divides", ctx -> ctx.allOf(IntStream.of(1, 2, 0, 4, 0)
            .mapToObj(by -> ctx.callActivity("divide", by, Integer.class)).collect(Collectors.toList())).await())
            .activity("divide", ctx -> 10 / ctx.getInput(int.class)).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("divides"));
        assertEquals(FAILED, state.getRuntimeStatus());
        assertEquals(CompositeTaskFailedException.class.getName(), state.getFailureDetails().getErrorType());
        assertNull(state.readOutputAs(String.class));
    }

    @Test
    void aMessageOfSeveralLinesIsToldAsItIs() throws Exception {
        hub.orchestration("verse", ctx -> {
            throw new IllegalStateException("one\ntwo\nthree", new IllegalArgumentException("why"));
        }).start();
        FailureDetails failure = hub.end(client.scheduleNewOrchestrationInstance("verse")).getFailureDetails();
        assertEquals("one\ntwo\nthree", failure.getErrorMessage());
        assertNotNull(failure.getStackTrace());
    }

    @Test
    void whatIsNotThereIsNotFound() {
        for (Runnable call : new Runnable[] {
            () -> client.raiseEvent("nobody", "word"),
            () -> client.suspendInstance("nobody"),
            () -> client.resumeInstance("nobody"),
        }) {
            StatusRuntimeException refused = assertThrows(StatusRuntimeException.class, call::run);
            assertEquals(Status.Code.NOT_FOUND, refused.getStatus().getCode());
        }
        assertThrows(IllegalArgumentException.class, () -> client.restartInstance("nobody", true));
    }

    /** Runs `code`, which calls what always fails; the failure that is told is the last attempt's. */
    private void fails(TaskOrchestration code, int attempts, String task, int number) throws Exception {
        hub.orchestration("main", code).orchestration("child", ctx -> {
            throw new IllegalStateException("attempt " + runs.incrementAndGet());
        }).activity("activity", ctx -> {
            throw new IllegalStateException("attempt " + runs.incrementAndGet());
        }).start();
        OrchestrationMetadata state = hub.end(client.scheduleNewOrchestrationInstance("main"));
        assertEquals(FAILED, state.getRuntimeStatus());
        assertEquals(attempts, runs.get());
        FailureDetails failure = state.getFailureDetails();
        assertEquals(TaskFailedException.class.getName(), failure.getErrorType());
        String wanted = "Task '%s' (#%d) failed with an unhandled exception: attempt %d";
        assertEquals(String.format(wanted, task, number, attempts), failure.getErrorMessage());
    }

    private static TaskOptions policy(int attempts) {
        return new TaskOptions(new RetryPolicy(attempts, Duration.ofMillis(1)));
    }

    private RetryHandler upTo(int attempts) {
        return retry -> {
            if (!retry.getOrchestrationContext().getIsReplaying()) {
                decisions.incrementAndGet();
            }
            return retry.getLastFailure().isCausedBy(IllegalStateException.class)
                && retry.getLastAttemptNumber() < attempts;
        };
    }
}
