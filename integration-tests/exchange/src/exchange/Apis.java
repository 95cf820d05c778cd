package exchange;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.util.HashSet;
import java.util.Set;
import org.apache.kafka.common.protocol.ApiKeys;

/** The APIs that a broker serves: what it does not serve yet is not asked of it. */
final class Apis {
    private final Set<Integer> served = new HashSet<>();

    private Apis() {}

    static Apis of(int port) throws IOException {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            out.writeInt(10);
            out.writeShort(ApiKeys.API_VERSIONS.id);
            out.writeShort(0);
            out.writeInt(1);
            out.writeShort(-1);
            DataInputStream in = new DataInputStream(socket.getInputStream());
            in.readInt();
            in.readInt();
            Check.that(in.readShort() == 0, "ApiVersions answers an error");
            Apis apis = new Apis();
            for (int left = in.readInt(); left > 0; left--) {
                apis.served.add((int) in.readShort());
                in.readInt();
            }
            return apis;
        }
    }

    boolean serve(ApiKeys... keys) {
        for (ApiKeys key : keys) {
            if (!served.contains((int) key.id)) {
                return false;
            }
        }
        return true;
    }
}
