package dev.placet;

import java.time.Instant;
import java.util.concurrent.Callable;

/** Waiting for what comes without a call that waits for it. */
final class Waiting {
    private Waiting() { }

    static void until(Callable<Boolean> isSo) throws Exception {
        Instant end = Instant.now().plus(TaskHub.PATIENCE);
        while (!isSo.call()) {
            if (Instant.now().isAfter(end)) {
                throw new AssertionError("it did not come");
            }
            Thread.sleep(20);
        }
    }
}
