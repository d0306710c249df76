# After an upgrade the new program takes over. Data and the user stay.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 1 ]; then
        systemctl try-restart leveret.service || :
    fi
fi
