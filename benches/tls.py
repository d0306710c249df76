"""With TLS and without: handshakes per second, and the rates of the same loads."""

from report import number, ratio, table
from runner import median, rate

# Name, flags, flags with TLS, and what is counted. Connections are opened one after the other by four clients, each with a
# login and a channel, so that the plain rows say what a connection costs without its handshake. Every publisher has a window:
# RabbitMQ takes whatever arrives through TLS into memory, and works on it for minutes afterwards.
LOADS = [
    ("connections, full handshakes, TLS 1.3", "connection-churn -x 4", "--tls-version 1.3", "cycles"),
    ("connections, full handshakes, TLS 1.2", "connection-churn -x 4", "--tls-version 1.2", "cycles"),
    ("connections, resumption allowed, TLS 1.2", "connection-churn -x 4",
     "--tls-version 1.2 --tls-resumption", "cycles"),
    ("connections, resumption allowed, TLS 1.3", "connection-churn -x 4",
     "--tls-version 1.3 --tls-resumption", "cycles"),
    ("16 B transient, confirms (window 1000)", "-s 16 -c 1000", "", "consumed"),
    ("1 KiB transient, confirms (window 1000)", "-s 1024 -c 1000", "", "consumed"),
    ("1 KiB transient, 4 to 4 over 4 queues", "-s 1024 -c 1000 -x 4 -y 4 -q 4", "", "consumed"),
    ("16 KiB transient, confirms (window 100)", "-s 16384 -c 100", "", "consumed"),
    ("1 KiB persistent, confirms (window 1000), ack each, prefetch 500",
     "-s 1024 -p -c 1000 -a -P 500", "", "consumed"),
]


def run(runner, brokers, rounds, seconds, cacert):
    """Every load against every broker, in the clear and with TLS, in turn, round after round."""
    figures, ciphers = {}, {}
    for turn in range(rounds):
        for name, flags, options, counted in LOADS:
            for broker in brokers:
                # Without an address for TLS there is nothing to compare, but the plain rates still tell.
                for encrypted in (False, True) if broker.tls_address else (False,):
                    arguments = f"{flags} -d {seconds}"
                    if encrypted:
                        arguments += f" --tls --cacert {cacert} {options}".rstrip()
                    summary = runner.run(arguments, broker, note=f"round {turn + 1}",
                                         address=broker.tls_address if encrypted else None)
                    value = rate(counted)(summary) if summary else None
                    figures.setdefault((name, broker.name, encrypted), []).append(value)
                    if summary and encrypted:
                        tls = summary["tls"]
                        ciphers.setdefault(broker.name, set()).add(f"{tls['version']} {tls['cipher']}")
                    how = "TLS" if encrypted else "plain"
                    print(f"  {turn + 1}/{rounds} {name}: {broker.name} {how} {number(value, '/s')}",
                          flush=True)
    return figures, ciphers


def report(results, brokers, reference):
    """Markdown: rates in the clear and with TLS, what TLS leaves of them, and how the brokers compare."""
    figures, ciphers = results
    names = [broker.name for broker in brokers]
    others = [name for name in names if name != reference]
    header = ["load", "flags with TLS"]
    for name in names:
        header += [f"{name}, plain", f"{name}, TLS", "TLS : plain"]
    header += [f"{name} : {reference}, TLS" for name in others]
    rows = []
    for name, flags, options, _ in LOADS:
        row = [name, f"`{f'{flags} {options}'.strip()}`"]
        for broker in names:
            plain, tls = (median(figures.get((name, broker, encrypted), [])) for encrypted in (False, True))
            row += [number(plain, "/s"), number(tls, "/s"), ratio(tls, plain)]
        tls = {broker: median(figures.get((name, broker, True), [])) for broker in names}
        rows.append(row + [ratio(tls[broker], tls[reference]) for broker in others])
    agreed = "".join(f"- {name}: {', '.join(sorted(ciphers.get(name, ['nothing'])))}\n" for name in names)
    return f"{table(header, rows)}\nAgreed on:\n\n{agreed}"
