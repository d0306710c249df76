# Stops the service before the last version of it is removed.
if [ "$1" = 0 ] && command -v systemctl >/dev/null; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now leveret.service || :
    else
        systemctl --no-reload disable leveret.service || :
    fi
fi
