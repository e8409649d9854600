/** What a guest is asked to do, so that there is something in its memory and on its disk before it is paused. */
export const LIGHT_USE =
  'python3 -c "import json, http.client, sqlite3" && head -c 20000000 /dev/urandom > /home/user/filler && node -e "1"';
