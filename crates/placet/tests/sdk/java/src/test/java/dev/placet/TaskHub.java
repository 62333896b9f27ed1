package dev.placet;

import com.microsoft.durabletask.DurableTaskClient;
import com.microsoft.durabletask.DurableTaskGrpcClientBuilder;
import com.microsoft.durabletask.DurableTaskGrpcWorker;
import com.microsoft.durabletask.DurableTaskGrpcWorkerBuilder;
import com.microsoft.durabletask.OrchestrationMetadata;
import com.microsoft.durabletask.TaskActivity;
import com.microsoft.durabletask.TaskActivityFactory;
import com.microsoft.durabletask.TaskOrchestration;
import com.microsoft.durabletask.TaskOrchestrationFactory;
import io.grpc.Channel;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** A task hub of a test's own on the server under test, with a client and a worker. */
final class TaskHub implements AutoCloseable {
    static final Duration PATIENCE = Duration.ofSeconds(30);

    final DurableTaskClient client;
    private final ManagedChannel connection;
    private final Channel channel;
    private final DurableTaskGrpcWorkerBuilder builder;
    private DurableTaskGrpcWorker worker;

    TaskHub() {
        this(System.getenv("PLACET_GRPC").replaceFirst("^http://", ""));
    }

    TaskHub(String address) {
        connection = ManagedChannelBuilder.forTarget(address).usePlaintext().build();
        Metadata headers = new Metadata();
        headers.put(Metadata.Key.of("taskhub", Metadata.ASCII_STRING_MARSHALLER), "java-" + UUID.randomUUID());
        channel = ClientInterceptors.intercept(connection, MetadataUtils.newAttachHeadersInterceptor(headers));
        client = new DurableTaskGrpcClientBuilder().grpcChannel(channel).build();
        builder = new DurableTaskGrpcWorkerBuilder().grpcChannel(channel);
    }

    TaskHub orchestration(String name, TaskOrchestration code) {
        builder.addOrchestration(new TaskOrchestrationFactory() {
            @Override
            public String getName() {
                return name;
            }

            @Override
            public TaskOrchestration create() {
                return code;
            }
        });
        return this;
    }

    TaskHub activity(String name, TaskActivity code) {
        builder.addActivity(new TaskActivityFactory() {
            @Override
            public String getName() {
                return name;
            }

            @Override
            public TaskActivity create() {
                return code;
            }
        });
        return this;
    }

    TaskHub start() {
        worker = builder.build();
        worker.start();
        return this;
    }

    OrchestrationMetadata end(String id) throws Exception {
        return client.waitForInstanceCompletion(id, PATIENCE, true);
    }

    @Override
    public void close() {
        if (worker != null) {
            worker.close();
        }
        client.close();
        connection.shutdownNow();
        try {
            connection.awaitTermination(5, TimeUnit.SECONDS);
        } catch (InterruptedException interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
