/** What a broker is started with. */
export interface Options {
  /** Topics that are there from the start: `NAME`, `NAME:PARTITIONS` or `NAME:PARTITIONS:CLEANUP_POLICY`. */
  topics?: string[];
  /** Keys of Kafka's `server.properties`. */
  config?: Record<string, string | number | boolean>;
  /** Port on 127.0.0.1; 0, the default, takes a free one. */
  port?: number;
  /** Keeps the data here. Without it, it is in a temporary directory that goes with the broker. */
  dataDir?: string;
  /** Another binary than that of the package. */
  binary?: string;
  /** How long a start may take, in milliseconds; 60,000 by default. */
  startTimeoutMs?: number;
}

/** How a topic is made. */
export interface TopicOptions {
  /** 1 by default; -1 takes `num.partitions`. */
  partitions?: number;
  /** Settings of the topic, `cleanup.policy` for example. */
  config?: Record<string, string | number | boolean>;
}

/** A running broker: a child process that ends with this one, whatever ends it. */
export class Milena {
  private constructor();
  /** Starts a broker; clients are served when the promise is kept. */
  static start(options?: Options): Promise<Milena>;
  /** `127.0.0.1:PORT`, for `bootstrap.servers` and `brokers` of clients. */
  readonly bootstrapServers: string;
  readonly port: number;
  readonly pid: number;
  readonly clusterId: string;
  readonly dataDir: string;
  /** The last lines that the broker has logged. */
  readonly log: string;
  /** Makes a topic, or leaves it as it is if there is one of that name. */
  createTopic(name: string, options?: TopicOptions): Promise<void>;
  /** Stops the broker; does nothing if it has ended. */
  stop(): Promise<void>;
}
