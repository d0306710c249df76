# Makes the user. As is usual with these packages, the service is started by whoever installs it: systemctl enable --now leveret
if command -v systemd-sysusers >/dev/null; then
    systemd-sysusers leveret.conf || :
elif ! getent passwd leveret >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/leveret --shell /sbin/nologin leveret || :
fi
if command -v systemd-tmpfiles >/dev/null; then
    systemd-tmpfiles --create leveret.conf || :
fi
[ -e /var/lib/leveret ] || install -d -o leveret -g leveret -m 0700 /var/lib/leveret || :
[ -e /var/log/leveret ] || install -d -o leveret -g leveret -m 0750 /var/log/leveret || :
if [ "$1" = 1 ] && command -v systemctl >/dev/null; then
    systemctl --no-reload preset leveret.service || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
