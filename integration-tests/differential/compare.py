"""compare.py JARS KAFKA MILENA [SCRIPT...]: sends the same to both ports and compares the answers field by field.

Ids and times are masked; lists that Kafka gives in the order of a hash table are sorted, of others the order is compared. What differs and is meant to says
why where it is asked; docs/differences.md says it to users. With names of scripts only those run; `transactions_1` stands for
those of transactions after the cluster was taken back to transaction.version 1. --record=FILE instead of names writes down
what tests/it/conditions.rs asks; see `record` in scripts/conditions.py.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import sides
from scripts import admin, classic, commits, conditions, consumer, conversion, fetch, mixed, produce, quotas, transactions
from wire import Connection, load_schemas

SCRIPTS = [transactions, classic, conversion, consumer, commits, produce, fetch, quotas]
# Scripts wait more than they work, for the other side of a rebalance or for a time to pass.
AT_ONCE = 4


def wait_for(connection):
    # A JVM on a machine that is busy with other things takes minutes.
    for _ in range(1200):
        try:
            if connection.call("Metadata", 9, {"topics": []}) != "closed":
                return
        except OSError:
            pass
        time.sleep(0.25)
    sys.exit(f"nobody answers on port {connection.port}")


def settle(connection):
    """Until both coordinators are there: their topics are made by the first who asks for them."""
    unknown = {"groupid": "none", "memberid": "none", "generationid": 1}
    for _ in range(240):
        found = [connection.call("FindCoordinator", 3, {"key": "none", "keytype": kind})["errorcode"] for kind in (0, 1)]
        beat = connection.call("Heartbeat", 2, unknown)["errorcode"]
        made = connection.call("InitProducerId", 4, {"transactionalid": "none", "transactiontimeoutms": 1000})["errorcode"]
        if found == [0, 0] and beat == 25 and made == 0:
            return
        time.sleep(0.1)
    sys.exit(f"no coordinators on port {connection.port}")


def versions_of(connection):
    values = {"clientsoftwarename": "compare", "clientsoftwareversion": "1"}
    answer = connection.call("ApiVersions", 4, values)
    return {api["apikey"]: range(api["minversion"], api["maxversion"] + 1) for api in answer["apikeys"]}


def take_back(connection, feature, level):
    """Lowers the level of a feature, and waits until the broker tells it to clients."""
    update = {"feature": feature, "maxversionlevel": level, "upgradetype": 2}
    answer = connection.call("UpdateFeatures", 1, {"featureupdates": [update], "timeoutms": 9000})
    assert answer["errorcode"] == 0, answer
    for _ in range(240):
        told = connection.call("ApiVersions", 4, {"clientsoftwarename": "compare", "clientsoftwareversion": "1"})["finalizedfeatures"]
        if [level] == [one["maxversionlevel"] for one in told if one["name"] == feature]:
            return
        time.sleep(0.1)
    sys.exit(f"{feature} stays as it is on port {connection.port}: {told}")


def chosen(names):
    for module in SCRIPTS:
        for script in module.SCRIPTS:
            name = f"{module.__name__.removeprefix('scripts.')}.{script.__name__}"
            if not names or name in names or name.split(".")[0] in names:
                yield name, script


def main():
    schemas, names = load_schemas(sys.argv[1]), sys.argv[4:]
    brokers = [Connection(schemas, int(port)) for port in sys.argv[2:4]]
    for broker in brokers:
        wait_for(broker)
    served = [versions_of(broker) for broker in brokers]
    if names and names[0].startswith("--record="):
        for broker in brokers:
            settle(broker)
        asked, told = conditions.record(schemas, brokers, served, names[0].removeprefix("--record="))
        return print(f"{asked} requests written down, {told} of them with their answers")
    asked, found, meant = 0, [], {}
    for broker in brokers:
        settle(broker)
        if "transactions_1" in names:
            take_back(broker, "transaction.version", 1)
    for module in (conditions, mixed, admin):
        if not names or module.__name__.removeprefix("scripts.") in names:
            count, differing = module.compare(schemas, brokers, served, meant)
            asked, found = asked + count, found + differing
    scripts = list(chosen([name.removesuffix("_1") for name in names]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = [[pool.submit(sides.run, script, sides.Side(schemas, broker.port, served[0])) for broker in brokers] for _, script in scripts]
        for (name, _), (kafka, milena) in zip(scripts, runs):
            asked += len(kafka.result())
            found += sides.differences(name, kafka.result(), milena.result(), meant)
    print(f"{asked} requests answered by both, {sum(meant.values())} in a way that is meant to differ: {meant}")
    for difference in found:
        print(difference)
    if found:
        sys.exit(f"{len(found)} differences")


if __name__ == "__main__":
    main()
